"""Processes that somebody else started, found by what their command lines say."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection


def end(programs: Collection[str], words: Collection[str], timeout: float = 5.0) -> int:
    """SIGKILL to every process of one of ``programs`` (names without a directory) whose command line has one of
    ``words`` in it; returns when they are gone, with their number. ``timeout`` in seconds."""
    held = []
    names = {name.encode() for name in programs}
    marks = [word.encode() for word in words]
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _meant(entry, names, marks):
            try:
                pidfd = os.pidfd_open(int(entry))
            except OSError:
                continue
            if _meant(entry, names, marks):      # the number may have passed to another one
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            held.append(pidfd)
    deadline = time.monotonic() + timeout
    for pidfd in held:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(max(0, deadline - time.monotonic()) * 1000)
        os.close(pidfd)
    return len(held)


def _meant(pid: str, names: set[bytes], marks: list[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read()
    except OSError:
        return False
    program = os.path.basename(line.partition(b"\0")[0])
    return program in names and any(mark in line for mark in marks)
