"""Runtimes without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from solva.errors import InvalidParameter
from solva.kernel import cgroup
from solva.runtimes import capabilities, conmon, errors, seccomp

HYBRID = """31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_layouts() -> None:
    layout = cgroup.probe(HYBRID)
    assert (layout.version, layout.hybrid) == (1, "/sys/fs/cgroup/unified")
    assert layout.controllers["cpu"] == layout.controllers["cpuacct"] == "cpu,cpuacct"
    assert cgroup.probe("30 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n").version == 2
    assert cgroup.probe("").version == 0


@pytest.mark.parametrize(("said", "cause", "code"), [
    ("executable file `foo` not found in $PATH: No such file or directory",
     'exec: "foo": executable file not found in $PATH', 127),
    ("executable file `/nope` not found in $PATH: No such file or directory",
     'exec: "/nope": stat /nope: no such file or directory', 127),
    ("open executable: Operation not permitted", 'exec: "p": is a directory: permission denied', 126),
    ("open executable: Permission denied", 'exec: "p": permission denied', 126),
    ("chdir `/x`: No such file or directory",
     'chdir to cwd ("/x") set in config.json failed: no such file or directory', 127),
])
def test_words(said: str, cause: str, code: int) -> None:
    assert errors.translate(said, "p") == (cause, code)


def test_capabilities() -> None:
    assert "CAP_NET_ADMIN" in capabilities.resolve(["net_admin"], [], privileged=False)
    assert capabilities.resolve(["CHOWN"], ["ALL"], privileged=False) == ("CAP_CHOWN",)
    with pytest.raises(InvalidParameter, match='invalid CapAdd: unknown capability: "CAP_X"'):
        capabilities.resolve(["x"], [], privileged=False)


def test_seccomp_follows_capabilities_and_architecture(tmp_path: Path) -> None:
    profile = seccomp.Profiles(tmp_path).default()

    def allowed(caps: set[str], machine: str = "x86_64") -> set[str]:
        rules = seccomp.resolve(profile, caps, machine, "6.1.0").rules
        return {name for rule in rules if rule.action == "SCMP_ACT_ALLOW" and not rule.args for name in rule.names}

    assert "mount" not in allowed(set())
    assert "mount" in allowed({"CAP_SYS_ADMIN"})
    assert "arch_prctl" in allowed(set())
    assert "arch_prctl" not in allowed(set(), "aarch64")
    assert "io_uring_setup" not in allowed({"CAP_SYS_ADMIN"})
    with pytest.raises(InvalidParameter):
        seccomp.parse("{")


def test_conmon_command() -> None:
    words = conmon.command(conmon.MonitorSpec("i" * 64, Path("/b"), None, stdin=True), "/usr/bin/crun", ["--root=/x"])
    assert words[words.index("-l") + 1] == "none"
    assert "-i" in words
    assert "--leave-stdin-open" not in words
    assert words[-2:] == ["--runtime-arg", "--root=/x"]
