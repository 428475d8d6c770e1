"""Keeps a ``State`` like the store: a snapshot, then the watch; begun again after whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from solva.cluster import rows
from solva.cluster.etcd import Etcd, EtcdError, HistoryLost
from solva.cluster.state import State

_log = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Watcher:
    """``changed`` is called (on the loop) whenever the state has changed or the connection came or went.

    ``problem``: why there is no connection now; "" while there is one.
    """

    def __init__(self, etcd: Etcd, state: State, changed: Callable[[], None]) -> None:
        self.state = state
        self.problem = "not connected yet"
        self._etcd = etcd
        self._changed = changed
        self._moved = asyncio.Event()
        self._stale = False
        self._again: asyncio.Event = asyncio.Event()

    async def run(self) -> None:
        """For ever."""
        pause = _FIRST_PAUSE
        while True:
            try:
                if self._stale or not self.state.known:
                    await self._read_all()
                await self._follow()
            except HistoryLost as error:
                _log.info("etcd: %s: everything is read anew", error)
                self._stale = True
                continue
            except EtcdError as error:
                if not self.problem:
                    _log.warning("etcd cannot be reached: %s; existing connections go on", error)
                    pause = _FIRST_PAUSE
                self._report(str(error))
            try:
                async with asyncio.timeout(pause):
                    await self._again.wait()
            except TimeoutError:
                pass
            self._again.clear()
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _read_all(self) -> None:
        self.state.replace(await self._etcd.snapshot(rows.ROOT))
        self._stale = False
        self._report("")

    async def _follow(self) -> None:
        async for batch in self._etcd.watch(rows.ROOT, self.state.revision + 1):
            if self.state.apply(batch) or self.problem:
                self._report("")
            if self._stale:
                await self._read_all()

    async def resync(self) -> None:
        """Read everything now: the watch may have missed something. Raises EtcdError."""
        await self._read_all()

    async def reached(self, revision: int, seconds: float) -> bool:
        """Whether the state has come to a revision within the time; it reads everything if the watch is slow."""
        try:
            async with asyncio.timeout(seconds):
                while self.state.revision < revision:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            try:
                await self._read_all()
            except EtcdError:
                return False
        return self.state.revision >= revision

    def hurry(self) -> None:
        """The store answers again: do not wait any longer."""
        self._again.set()

    def _report(self, problem: str) -> None:
        if self.problem and not problem:
            _log.info("connected to etcd at %s", self._etcd)
        self.problem = problem
        self._moved.set()
        self._changed()
