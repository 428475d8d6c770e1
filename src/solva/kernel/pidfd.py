"""Waiting for the end of processes that are not our children."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path


class Watch:
    """Calls back once when a process ends. ProcessLookupError when there is none."""

    __slots__ = ("_loop", "pid", "pidfd")

    def __init__(self, pid: int, ended: Callable[[], None]) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.pidfd, self._fire, ended)

    def _fire(self, ended: Callable[[], None]) -> None:
        self.close()
        ended()

    def kill(self, number: int) -> None:
        """Signal it; nothing happens when it has ended."""
        if self.pidfd >= 0:
            try:
                signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                pass

    def close(self) -> None:
        """Stop watching."""
        if self.pidfd >= 0:
            self._loop.remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1


def start_time(pid: int) -> int:
    """When ``pid`` was started, in clock ticks since boot: with the pid an identity. 0 when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def signal_sets(pid: int) -> tuple[int, int] | None:
    """Bit masks of the signals ``pid`` catches and ignores, None when it is gone. Bit n-1 is signal n."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    caught = ignored = 0
    for line in text.splitlines():
        if line.startswith("SigCgt:"):
            caught = int(line[7:], 16)
        elif line.startswith("SigIgn:"):
            ignored = int(line[7:], 16)
    return caught, ignored


def is_namespace_init(pid: int) -> bool:
    """Whether ``pid`` is process 1 of a pid namespace below ours: the kernel gives it no default signal actions."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    for line in text.splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == "1"
    return False
