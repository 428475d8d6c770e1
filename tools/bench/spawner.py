"""Runs commands inside a side's namespaces and times them, from the start of the process to its end.

A process of its own, which enters the namespaces of another once, so that a sample holds the client and nothing else
(`nsenter` in front of each command costs 2 to 10 ms). Both sides' commands come through here alike. One request a line
on standard input, one answer a line on standard output, both JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource  # what wait4 answers with; later it could not be found any more
import sys
import time

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000


def enter(pid: int) -> None:
    """Join the mount and network namespaces, and the root, of process ``pid``."""
    libc = ctypes.CDLL(None, use_errno=True)
    root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY)
    opened = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind)
              for name, kind in (("net", _CLONE_NEWNET), ("mnt", _CLONE_NEWNS))]
    for fd, kind in opened:
        if libc.setns(fd, kind):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), f"setns of process {pid}")
        os.close(fd)
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    os.chdir("/")


def run(argv: list[str], env: dict[str, str], cwd: str) -> dict[str, object]:
    """Run it with its output in a file; seconds, exit status, output (both streams), its CPU seconds, its peak memory
    in kB (its children's too)."""
    output = os.memfd_create("output", 0)
    os.chdir(cwd)
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
               (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    began = time.perf_counter()
    try:
        pid = os.posix_spawn(argv[0], argv, env, file_actions=actions)
    except OSError as error:
        os.close(output)
        return {"seconds": 0.0, "status": 127, "output": f"{argv[0]}: {error}", "cpu": 0.0, "memory": 0}
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    text = os.pread(output, os.fstat(output).st_size, 0)
    os.close(output)
    return {"seconds": seconds, "status": os.waitstatus_to_exitcode(status),
            "output": text.decode(errors="replace"), "cpu": _cpu(usage), "memory": usage.ru_maxrss}


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    enter(int(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(run(request["argv"], request["env"], request["cwd"])), flush=True)


if __name__ == "__main__":
    main()
