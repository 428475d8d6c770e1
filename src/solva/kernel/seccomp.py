"""Compiling a system-call filter to BPF with libseccomp, and a prelude that answers ENOSYS for calls newer than it.

A filter answers EPERM to what it does not know; a C library that tries a new call first then fails instead of
falling back. So calls with a number above the highest one the library knows are answered with ENOSYS.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

_OPERATORS = {"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5,
              "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7}
_ACTIONS = {"SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_THREAD": 0, "SCMP_ACT_KILL_PROCESS": 0x80000000,
            "SCMP_ACT_TRAP": 0x00030000, "SCMP_ACT_LOG": 0x7FFC0000, "SCMP_ACT_ALLOW": 0x7FFF0000}
_WITH_ERRNO = {"SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_TRACE": 0x7FF00000}
_ARCH_TOKENS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
_OPTIMIZE_ATTRIBUTE, _BINARY_TREE = 8, 2
_X32_BIT = 0x40000000
_UNRESOLVED = -1


class _Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


@dataclass(frozen=True, slots=True)
class Rule:
    """``args``: (index, operator, value, second value), all of which must hold."""

    names: tuple[str, ...]
    action: str
    errno: int = 1
    args: tuple[tuple[int, str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """What is to be compiled. ``arches`` are names such as SCMP_ARCH_X86; the native one is always in."""

    default_action: str
    default_errno: int
    arches: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    new_calls: dict[str, int] = field(default_factory=dict)   # allowed calls that old libraries do not know by name


def action_value(name: str, errno: int) -> int:
    """ValueError for an unknown action."""
    if name in _WITH_ERRNO:
        return _WITH_ERRNO[name] | (errno & 0xFFFF)
    if name not in _ACTIONS:
        raise ValueError(f"unknown seccomp action {name}")
    return _ACTIONS[name]


def compile_filter(wanted: Filter) -> bytes:
    """BPF instructions. OSError when the library is missing or refuses."""
    library = _library()
    default = action_value(wanted.default_action, wanted.default_errno)
    context = library.seccomp_init(ctypes.c_uint32(default))
    if not context:
        raise OSError(22, "seccomp_init failed")
    try:
        library.seccomp_attr_set(ctypes.c_void_p(context), _OPTIMIZE_ATTRIBUTE, ctypes.c_uint32(_BINARY_TREE))
        for arch in wanted.arches:
            token = library.seccomp_arch_resolve_name(arch.removeprefix("SCMP_ARCH_").lower().encode())
            if token:
                library.seccomp_arch_add(ctypes.c_void_p(context), ctypes.c_uint32(token))
        highest = 0
        for rule in wanted.rules:
            highest = max(highest, _add(library, context, rule, default))
        fd = os.memfd_create("bpf")
        try:
            code = library.seccomp_export_bpf(ctypes.c_void_p(context), fd)
            if code < 0:
                raise OSError(-code, f"seccomp_export_bpf: {os.strerror(-code)}")
            body = os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
    finally:
        library.seccomp_release(ctypes.c_void_p(context))
    newer = sorted({number for number in wanted.new_calls.values() if number > highest})
    return _prelude(highest, newer) + body


def _add(library: ctypes.CDLL, context: int, rule: Rule, default: int) -> int:
    action = action_value(rule.action, rule.errno)
    highest = 0
    for name in rule.names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _UNRESOLVED:
            continue
        highest = max(highest, number)
        if action == default:
            continue
        for group in _conjunctions(rule.args):
            array = (_Compare * max(1, len(group)))()
            for position, (index, operator, first, second) in enumerate(group):
                array[position] = _Compare(index, _OPERATORS[operator], first, second)
            code = library.seccomp_rule_add_array(
                ctypes.c_void_p(context), ctypes.c_uint32(action), number, len(group), array
            )
            if code < 0 and code not in (-17, -33):  # there already; not on this architecture
                raise OSError(-code, f"seccomp rule for {name}: {os.strerror(-code)}")
    return highest


def _conjunctions(args: tuple[tuple[int, str, int, int], ...]) -> Iterable[tuple[tuple[int, str, int, int], ...]]:
    """libseccomp compares an argument once a rule; several conditions on one argument are alternatives."""
    if len({item[0] for item in args}) == len(args):
        return [args]
    return [(item,) for item in args]


def _prelude(highest: int, allowed: list[int]) -> bytes:
    token = _ARCH_TOKENS.get(platform.machine())
    if token is None or highest < 400:
        return b""
    allow, enosys = _ACTIONS["SCMP_ACT_ALLOW"], _WITH_ERRNO["SCMP_ACT_ERRNO"] | 38
    tail = 3 + 2 * len(allowed)       # instructions after the architecture's comparison
    code = [(0x20, 0, 0, 4), (0x15, 0, tail + 1, token), (0x20, 0, 0, 0), (0x35, tail - 1, 0, _X32_BIT)]
    for number in allowed:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, allow)]
    code += [(0x25, 0, 1, highest), (0x06, 0, 0, enosys)]
    return b"".join(struct.pack("<HBBI", *line) for line in code)


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    return library
