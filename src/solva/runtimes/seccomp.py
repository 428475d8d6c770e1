"""System-call filters: Docker's profile format, resolved against capabilities, architecture and kernel.

The default profile lies beside this file. A resolved profile is compiled to BPF once and kept by its hash; crun takes
the result as an annotation and need not compile it at each start (15 ms with crun older than 1.9).
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from solva.errors import InvalidParameter
from solva.kernel import seccomp

ANNOTATION = "run.oci.seccomp_bpf_data"
_ARCHES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
           "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"), "s390x": ("s390x", "SCMP_ARCH_S390X"),
           "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE")}
# Calls with one number on every architecture that libseccomp 2.5 does not know by name.
_NEW_CALLS = {"cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
              "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459,
              "lsm_set_self_attr": 460, "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463, "getxattrat": 464,
              "listxattrat": 465, "removexattrat": 466}


class _When(msgspec.Struct):
    caps: list[str] | None = None
    arches: list[str] | None = None
    minKernel: str | None = None


class _Arg(msgspec.Struct):
    index: int
    op: str
    value: int = 0
    valueTwo: int = 0


class _Call(msgspec.Struct):
    action: str
    names: list[str] | None = None
    name: str | None = None
    errnoRet: int | None = None
    args: list[_Arg] | None = None
    includes: _When | None = None
    excludes: _When | None = None


class _ArchMap(msgspec.Struct):
    architecture: str
    subArchitectures: list[str] | None = None


class Profile(msgspec.Struct):
    """A profile in Docker's format."""

    defaultAction: str
    defaultErrnoRet: int | None = None
    architectures: list[str] | None = None
    archMap: list[_ArchMap] | None = None
    flags: list[str] | None = None
    syscalls: list[_Call] | None = None


def parse(raw: bytes | str) -> Profile:
    """InvalidParameter when it is not a profile."""
    try:
        return msgspec.json.decode(raw, type=Profile)
    except msgspec.MsgspecError as error:
        raise InvalidParameter(f"Decoding seccomp profile failed: {error}") from error


class Profiles:
    """Resolved and compiled profiles; ``cache`` is a directory that may be emptied at any time."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._default: Profile | None = None
        self._done: dict[tuple[str, tuple[str, ...]], tuple[dict[str, Any] | None, dict[str, str]]] = {}

    def default(self) -> Profile:
        if self._default is None:
            self._default = parse((Path(__file__).parent / "seccomp_default.json").read_bytes())
        return self._default

    def apply(self, custom: str, capabilities: tuple[str, ...]) -> tuple[dict[str, Any] | None, dict[str, str]]:
        """(OCI ``linux.seccomp`` or None, annotations) for a profile text ("" = the default one)."""
        key = (custom, tuple(sorted(capabilities)))
        if key not in self._done:
            profile = parse(custom) if custom else self.default()
            self._done[key] = self._make(profile, set(capabilities))
        return self._done[key]

    def _make(self, profile: Profile, capabilities: set[str]) -> tuple[dict[str, Any] | None, dict[str, str]]:
        wanted = resolve(profile, capabilities)
        if profile.flags:      # only crun applies them
            return to_oci(wanted, profile.flags), {}
        try:
            return None, {ANNOTATION: base64.b64encode(self._compiled(wanted)).decode()}
        except OSError:
            return to_oci(wanted, []), {}

    def _compiled(self, wanted: seccomp.Filter) -> bytes:
        text = repr((wanted, os.uname().release, platform.machine(), "1"))
        path = self._cache / "seccomp" / hashlib.sha256(text.encode()).hexdigest()
        try:
            return path.read_bytes()
        except OSError:
            data = seccomp.compile_filter(wanted)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(data)
        temporary.rename(path)
        return data


def resolve(profile: Profile, capabilities: set[str], machine: str = "", release: str = "") -> seccomp.Filter:
    """The rules of ``profile`` that hold here."""
    arch, token = _ARCHES.get(machine or platform.machine(), ("", ""))
    kernel = _version(release or os.uname().release)
    arches = list(profile.architectures or [])
    for row in profile.archMap or []:
        if row.architecture == token:
            arches = [token, *(row.subArchitectures or [])]
    rules = []
    names: set[str] = set()
    for call in profile.syscalls or []:
        if not _holds(call, capabilities, arch, kernel):
            continue
        listed = tuple(call.names or ([call.name] if call.name else []))
        args = tuple((item.index, item.op, item.value, item.valueTwo) for item in call.args or [])
        rules.append(seccomp.Rule(listed, call.action, 1 if call.errnoRet is None else call.errnoRet, args))
        if call.action == "SCMP_ACT_ALLOW" and not args:
            names.update(listed)
    errno = 1 if profile.defaultErrnoRet is None else profile.defaultErrnoRet
    new = {name: number for name, number in _NEW_CALLS.items() if name in names}
    return seccomp.Filter(profile.defaultAction, errno, tuple(arches), tuple(rules), new)


def _holds(call: _Call, capabilities: set[str], arch: str, kernel: tuple[int, int]) -> bool:
    within, without = call.includes, call.excludes
    if within is not None:
        if within.arches and arch not in within.arches:
            return False
        if within.caps and not set(within.caps) <= capabilities:
            return False
        if within.minKernel and kernel < _version(within.minKernel):
            return False
    if without is not None:
        if without.arches and arch in without.arches:
            return False
        if without.caps and set(without.caps) & capabilities:
            return False
        if without.minKernel and kernel >= _version(without.minKernel):
            return False
    return True


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    minor = ""
    for char in rest:
        if not char.isdigit():
            break
        minor += char
    return int(major or 0), int(minor or 0)


def to_oci(wanted: seccomp.Filter, flags: Iterable[str]) -> dict[str, Any]:
    """The same rules as OCI ``linux.seccomp``, for crun to compile."""
    calls = []
    for rule in wanted.rules:
        call: dict[str, Any] = {"names": list(rule.names), "action": rule.action}
        if rule.action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
            call["errnoRet"] = rule.errno
        if rule.args:
            call["args"] = [{"index": i, "op": op, "value": a, "valueTwo": b} for i, op, a, b in rule.args]
        calls.append(call)
    result: dict[str, Any] = {"defaultAction": wanted.default_action, "architectures": list(wanted.arches),
                              "syscalls": calls}
    if wanted.default_action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        result["defaultErrnoRet"] = wanted.default_errno
    if flags:
        result["flags"] = list(flags)
    return result
