"""Keeps this host registered: its lease alive, and under the lease the host itself and its endpoints.

After a lease is lost (a partition longer than it lasts, an etcd that began anew) everything is registered again from
the files that the engine has left (``files.py``); what has no file any more is taken back.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from solva.cluster import etcd as store
from solva.cluster import files, rows
from solva.cluster.etcd import Etcd, EtcdError, LeaseGone, Unreachable
from solva.cluster.files import Config, Lease, Local
from solva.cluster.registration import Taken, register
from solva.cluster.watcher import Watcher

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


class Keeper:
    """``lease`` 0: not registered now. ``problem``: why the last attempt failed, "" when it did not. ``lost``: what
    others have taken meanwhile, by endpoint id."""

    def __init__(self, run: Path, config: Config, etcd: Etcd, watcher: Watcher) -> None:
        self.lease = 0
        self.problem = "not connected yet"
        self.lost: dict[str, str] = {}
        self._run = run
        self._config = config
        self._etcd = etcd
        self._watcher = watcher
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        kept = files.read(files.lease_path(run), Lease)
        if kept is not None and kept.servers == config.servers:
            self.lease = kept.id

    async def run(self) -> None:
        """For ever: a third of the lease's time between two signs of life."""
        while True:
            pause = self._config.lease / 3
            try:
                await self.beat()
            except EtcdError:
                pause = min(pause, _RETRY_SECONDS)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def hurry(self) -> None:
        self._wake.set()

    async def beat(self) -> None:
        """One sign of life; registered when it returns. Raises EtcdError."""
        async with self._turn:
            try:
                await self._beat()
            except EtcdError as error:
                self.problem = str(error)
                raise
            if self.problem:
                self.problem = ""
                self._watcher.hurry()

    async def _beat(self) -> None:
        revision = 0
        if self.lease:
            left, revision = await self._etcd.keep_alive(self.lease)
            if not left:
                _log.warning("the lease of this host in etcd has run out: everything is registered again")
                self.lease = 0
        if not self.lease:
            await self._register()
        elif revision > self._watcher.state.revision or self.problem:
            await self._watcher.resync()      # the watch may be behind, or dead without a word
        await self._settle()

    async def _register(self) -> None:
        config = self._config
        lease = await self._etcd.grant(config.lease)
        await self._take_over(lease, rows.text(config.host_row()))
        files.write(files.lease_path(self._run), Lease(id=lease, servers=config.servers))
        self.lease = lease
        await self._watcher.resync()
        twin = next((f"{other.name} ({key[:12]})" for key, other in self._watcher.state.hosts.items()
                     if key != config.host and other.address == config.address), "")
        if twin:
            _log.error("host %s has registered the address %s, too: one of the two is not reached", twin,
                       config.address)

    async def _take_over(self, lease: int, value: str) -> None:
        """Our row under the new lease. A lease of ours from before (the machine was restarted, its containers are
        gone) is ended with all that was bound to it, lest its addresses stay taken until it runs out."""
        key = rows.host_key(self._config.host)
        before = await self._etcd.get(key)
        await self._etcd.transact([], [store.put(key, value, lease)])
        if before is not None and before.lease not in (0, lease):
            await self._etcd.revoke(before.lease)

    async def _settle(self) -> None:
        """The store has every endpoint that has a file, and none of ours that has not."""
        state, here = self._watcher.state, self._config.host
        wanted = files.locals_(self._run)
        registered = {placed.id: (network, placed.row) for network, placed in state.of_host(here)}
        row = self._config.host_row()
        if state.hosts.get(here) != row:      # gone, or of an agent before us that was told otherwise
            await self._put([], [store.put(rows.host_key(here), rows.text(row), self.lease)])
        for endpoint, (network, _) in registered.items():
            if endpoint not in wanted:
                await self._forget(network, endpoint)
        missing = {endpoint: local for endpoint, local in wanted.items()
                   if registered.get(endpoint) != (local.network, local.row)}
        self.lost = {endpoint: why for endpoint, why in self.lost.items() if endpoint in missing}
        if missing:
            await self._restore_networks(missing)
        for endpoint, local in missing.items():
            why = await self._restore(endpoint, local)
            if why and self.lost.get(endpoint) != why:
                _log.error("endpoint %s (%s) cannot be registered again: %s", endpoint[:12], local.row.name, why)
            if why:
                self.lost[endpoint] = why
            else:
                self.lost.pop(endpoint, None)

    async def _forget(self, network: str, endpoint: str) -> None:
        placed = self._watcher.state.endpoints[network][endpoint]
        gone = [store.delete(rows.endpoint_key(network, endpoint))]
        gone += [store.delete(rows.address_key(network, address)) for address in placed.row.addresses]
        await self._put([store.present(rows.endpoint_key(network, endpoint))], gone)

    async def _restore_networks(self, missing: dict[str, Local]) -> None:
        """A network that has live endpoints here and is gone from the store (which lost its data) is put back, unless
        its name or its number is another's by now."""
        state = self._watcher.state
        kept = files.networks(self._run)
        for network in {local.network for local in missing.values()}:
            row = kept.get(network)
            if row is None or network in state.networks:
                continue
            if any(other.vni == row.vni or other.name == row.name for other in state.networks.values()):
                continue
            await self._put([store.absent(rows.network_key(network))],
                            [store.put(rows.network_key(network), rows.text(row)),
                             store.put(rows.ALLOCATION, self._config.host)])

    async def _restore(self, endpoint: str, local: Local) -> str:
        """Why it could not be, "" when it is registered."""
        try:
            await register(self._etcd, self.lease, local.network, endpoint, local.row)
        except Taken as reason:
            return str(reason)
        except LeaseGone:
            self.lease = 0
            raise Unreachable("the lease ran out meanwhile") from None
        return ""

    async def _put(self, conditions: list[store.Json], operations: list[store.Json]) -> bool:
        try:
            return (await self._etcd.transact(conditions, operations)).succeeded
        except LeaseGone:
            self.lease = 0
            raise Unreachable("the lease ran out meanwhile") from None

    async def end(self) -> None:
        """Give the lease back, with all that was bound to it."""
        async with self._turn:
            if self.lease:
                await self._etcd.revoke(self.lease)
                self.lease = 0
            files.lease_path(self._run).unlink(missing_ok=True)

