"""Run a script in a root directory that is being made: stacked directories, namespaces of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from standins.layers import EPOCH

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class StepFailed(Exception):
    """A step of a recipe failed; the message ends with the last lines it wrote."""


def run(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a command with its output appended to `log`; raise StepFailed unless it exits with 0."""
    with open(log, "ab") as out:
        out.write(f"$ {shlex.join(command)}\n".encode()[:2000])
        out.flush()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, check=False)
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()[-12:]
        tail = "\n    ".join(lines)
        raise StepFailed(f"{command[0]} ended with {done.returncode}; {log} ends:\n    {tail}")


def run_in(
    lowers: Sequence[Path], upper: Path, work: Path, script: str, log: Path, env: Mapping[str, str]
) -> None:
    """Run a shell script with `/` being `upper` over `lowers` (the topmost last); changes land in `upper`.

    `work` is seen as /mnt/work inside. The network and the resolver are the host's; devices are the harmless
    ones; no process outlives the script.
    """
    mountpoint, overlay_work = work / ".root", work / ".overlay"
    for directory in (mountpoint, overlay_work):
        directory.mkdir(parents=True, exist_ok=True)
    stack = ":".join(str(lower) for lower in reversed(lowers))
    root = shlex.quote(str(mountpoint))
    options = shlex.quote(f"lowerdir={stack},upperdir={upper},workdir={overlay_work}")
    (work / "script.sh").write_text("set -eu\n" + script)
    outer = f"""
set -eu
mount --make-rprivate /
mount -t overlay overlay -o {options} {root}
mount -t tmpfs -o mode=755,size=1m tmpfs {root}/dev
for device in {" ".join(_DEVICES)}; do
    touch {root}/dev/$device; mount --bind /dev/$device {root}/dev/$device
done
ln -s /proc/self/fd {root}/dev/fd
mount -t proc proc {root}/proc
mount -t tmpfs -o mode=755 tmpfs {root}/mnt
mkdir {root}/mnt/work; mount --bind {shlex.quote(str(work))} {root}/mnt/work
mount -t tmpfs -o mode=1777 tmpfs {root}/tmp
[ ! -e {root}/etc/resolv.conf ] || mount --bind "$(readlink -f /etc/resolv.conf)" {root}/etc/resolv.conf
exec chroot {root} /bin/sh /mnt/work/script.sh
"""
    inside = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": str(EPOCH),
        **env,
    }
    run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/bash", "-c", outer], log, inside)


def proxies() -> dict[str, str]:
    """The proxy settings of this environment, for what downloads."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: os.environ[name] for lower in names for name in (lower, lower.upper()) if name in os.environ}
