"""The ruleset watched: ours put back when somebody takes it away, others' read again when they change."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from solva.errors import SystemFailure
from solva.kernel import iptables
from solva.kernel.nfmonitor import Change, Monitor
from solva.kernel.nft import HANDLES, JSON, STATELESS, Nft
from solva.networks.firewall import foreign
from solva.networks.firewall.foreign import ForeignTable, Obstacle
from solva.networks.firewall.matching import Packet
from solva.networks.host import Host

_log = logging.getLogger(__name__)
_OFTEN, _SPAN, _PAUSE = 20, 10.0, 10.0
"""More restorations than this within the span: two programs are fighting, and ours waits before it goes on."""


class RuleWatch:
    """``restore`` puts our table back; ``told(who, seconds)`` is called after it has."""

    def __init__(self, host: Host, restore: Callable[[], Awaitable[None]],
                 told: Callable[[str, float], None]) -> None:
        self._host = host
        self._own = f"inet {host.table}"
        self._restore = restore
        self._told = told
        self._monitor: Monitor | None = None
        self._task: asyncio.Task[None] | None = None
        self._who = ""
        self._wanted = False
        self._times: list[float] = []
        self._tables: list[ForeignTable] | None = None
        self._reading = asyncio.Lock()

    def start(self) -> None:
        """In the thread whose network namespace is the containers' host. Without a monitor everything else works."""
        try:
            self._monitor = Monitor(self._changed)
        except OSError as error:
            _log.warning("changes of the firewall are not seen (%s): rules that somebody removes come back when the "
                         "engine starts", error.strerror or error)

    async def close(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _changed(self, change: Change) -> None:
        if not change.lost and change.own():
            return
        if change.lost or self._own in change.tables:
            self._who = "an unknown process" if change.lost else change.who()
            self._wanted = True
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._bring_back())
        if change.lost or change.tables - {self._own}:
            self._tables = None

    async def _bring_back(self) -> None:
        while self._wanted:
            self._wanted = False
            began = time.monotonic()
            self._times = [moment for moment in self._times if began - moment < _SPAN] + [began]
            if len(self._times) > _OFTEN:
                _log.error("firewall rules of table %s are removed again and again, last by %s: the next attempt "
                           "follows in %.0f s", self._own, self._who, _PAUSE)
                await asyncio.sleep(_PAUSE)
            who = self._who
            try:
                await self._restore()
            except (SystemFailure, OSError) as error:
                _log.error("firewall rules removed by %s could not be restored: %s", who, error)
                continue
            took = time.monotonic() - began
            _log.warning("firewall rules of table %s were removed or changed by %s; restored in %.0f ms", self._own,
                         who, took * 1000)
            self._told(who, took)

    # -- what others have

    async def judge(self) -> Callable[[Packet], Obstacle | None] | None:
        """Says what in another table (or the old iptables' policies) stops a packet, None for nothing; None itself
        where nobody else has rules at all."""
        tables = await self.tables()
        legacy = {version: found for version in (4, 6) if (found := iptables.policies(version))}
        return partial(foreign.obstacle, tables, legacy) if tables or legacy else None

    async def tables(self) -> list[ForeignTable]:
        """All tables that are not Solva's; read from the kernel when something has changed since."""
        async with self._reading:
            while self._tables is None or self._monitor is None:
                reading: list[ForeignTable] = []
                self._tables = reading
                found = await self._host.later(self._read)
                if self._tables is reading or self._monitor is None:      # nothing has changed meanwhile
                    self._tables = found
                    return found
            return self._tables

    def _read(self) -> list[ForeignTable]:
        listing, wording = Nft(JSON | STATELESS | HANDLES), Nft(STATELESS | HANDLES)
        try:
            found = []
            for row in json.loads(listing.run("list tables"))["nftables"]:
                table = row.get("table")
                if table is None or table["family"] not in ("inet", "ip", "ip6"):
                    continue
                if table["family"] == "inet" and (table["name"] == "solva" or table["name"].startswith("solva_")):
                    continue      # ours, or of another engine, which only ever stops what is its own
                order = f"list table {table['family']} {table['name']}"
                try:
                    found.append(foreign.parse(listing.run(order), wording.run(order)))
                except (OSError, ValueError, KeyError) as error:
                    _log.warning("firewall table %s %s cannot be read: %s", table["family"], table["name"], error)
            return found
        finally:
            listing.close()
            wording.close()
