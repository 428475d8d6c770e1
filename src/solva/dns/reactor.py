"""One loop over epoll, and time limits. asyncio would do, at 10 MB more of memory and half the speed."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False  # typing is not imported for nothing: 7 ms, half a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

READ = select.EPOLLIN
WRITE = select.EPOLLOUT


class Deadlines:
    """Things that end after the same time each, unless disarmed: first armed, first due."""

    def __init__(self, seconds: float, expire: Callable[[Any], None]) -> None:
        self.seconds = seconds
        self._expire = expire
        self._due: dict[object, float] = {}

    def arm(self, item: object) -> None:
        """(Again) the whole time from now."""
        self._due.pop(item, None)
        self._due[item] = time.monotonic() + self.seconds

    def disarm(self, item: object) -> None:
        self._due.pop(item, None)

    def next(self) -> float | None:
        for due in self._due.values():
            return due
        return None

    def run(self, now: float) -> None:
        """Expire what is due."""
        while self._due:
            item, due = next(iter(self._due.items()))
            if due > now:
                return
            del self._due[item]
            self._expire(item)


class Reactor:
    """Calls the handler of whatever descriptor is ready, and the deadlines in between."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._deadlines: list[Deadlines] = []
        self._report = report
        self.stopping = False

    def watch(self, fd: int, handler: Callable[[int], None], events: int = READ) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Before ``fd`` is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def deadlines(self, seconds: float, expire: Callable[[Any], None]) -> Deadlines:
        made = Deadlines(seconds, expire)
        self._deadlines.append(made)
        return made

    def run(self) -> None:
        """Until ``stopping``. A handler's error ends that call, never the loop: one sandbox's bad packet must not take
        the names of all others away."""
        handlers, poll = self._handlers, self._epoll.poll
        while not self.stopping:
            for fd, events in poll(self._wait()):
                handler = handlers.get(fd)
                if handler is not None:
                    try:
                        handler(events)
                    except Exception as error:
                        self._report(f"internal error: {type(error).__name__}: {error} ({_where(error)})")
            now = time.monotonic()
            for deadlines in self._deadlines:
                deadlines.run(now)

    def _wait(self) -> float:
        due = [moment for deadlines in self._deadlines if (moment := deadlines.next()) is not None]
        return max(0.0, min(due) - time.monotonic()) if due else -1


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
