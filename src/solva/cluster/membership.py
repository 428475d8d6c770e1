"""The engine's part in the cluster: networks made and removed, addresses taken, endpoints registered; each of it one
transaction, so that two engines never both succeed.

Everything raises Unavailable, with the reason, while etcd cannot be reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from solva.cluster import etcd as store
from solva.cluster import files, rows
from solva.cluster.client import AgentClient
from solva.cluster.etcd import Etcd, EtcdError, LeaseGone, Outcome, Row, Unreachable
from solva.cluster.files import Config, Local
from solva.cluster.registration import Taken, register
from solva.cluster.rows import AddressRow, EndpointRow, HostRow, NetworkRow
from solva.cluster.state import State
from solva.cluster.watcher import Watcher
from solva.errors import Conflict, NotFound, SystemFailure, Unavailable

_log = logging.getLogger(__name__)
T = TypeVar("T")
_ATTEMPTS = 50
_FIRST_LOOK_SECONDS = 3.0


class InUse(Exception):
    """A network has endpoints: theirs (container name, endpoint id, host name)."""

    def __init__(self, users: list[tuple[str, str, str]]) -> None:
        super().__init__("in use")
        self.users = users


class Membership:
    """``changed``, set by whoever wants to know, is called on the loop when the cluster's state, or the connection to
    it, has changed."""

    def __init__(self, run: Path, config: Config) -> None:
        self.run = run
        self.config = config
        self.state = State()
        self.changed: Callable[[], None] = lambda: None
        self._reserved: dict[str, NetworkRow] = {}
        self._fresh: set[tuple[str, str]] = set()      # addresses taken by this engine
        self._owed: set[tuple[str, str]] = set()      # and still to be given back
        self._freed: set[tuple[str, str]] = set()      # and given back already
        self._mine = rows.text(AddressRow(host=config.host))
        self._etcd = Etcd(config.servers)
        self._agent = AgentClient(run, config)
        self._first = asyncio.Event()
        self._watcher = Watcher(self._etcd, self.state, self._on_change)
        self._following: asyncio.Task[None] | None = None

    # -- life

    async def start(self) -> None:
        """The agent up, the store read if it answers soon; later by itself otherwise."""
        for part in ("networks", "endpoints"):
            (files.folder(self.run) / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            await self._agent.start()
        except Unavailable as error:
            _log.error("%s", error)
        self._following = asyncio.get_running_loop().create_task(self._watcher.run())
        try:
            async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                await self._first.wait()
        except TimeoutError:
            pass

    async def stop(self) -> None:
        """The engine ends. The agent goes on while an endpoint of this host needs it."""
        if self._following is not None:
            self._following.cancel()
        if files.locals_(self.run):
            await self._agent.stop()
        else:
            await self._agent.shut_down()
        self._etcd.close()

    def _on_change(self) -> None:
        self._first.set()
        self.changed()

    @property
    def problem(self) -> str:
        """Why the store is not followed now, "" while it is."""
        return self._watcher.problem

    async def status(self) -> Mapping[str, object]:
        """What the agent says of itself."""
        return await self._agent.ask("status")

    def host_row(self) -> HostRow:
        """This host, as it is registered."""
        return self.config.host_row()

    async def tunnel(self, network: str, row: NetworkRow) -> None:
        """This host's WireGuard link is there, for as long as it takes part in an encrypted network. SystemFailure
        with the reason when it cannot be had."""
        files.write(files.network_path(self.run, network), row)
        await self._agent.ask("tunnel")

    # -- networks

    async def reserve(self, network: str, choose: Callable[[Mapping[str, NetworkRow]], NetworkRow]) -> None:
        """A new network, not to be used yet: ``choose`` makes it, given those there are; its errors pass through. It is
        gone by itself if this host dies before ``publish``."""
        async def attempt(lease: int) -> NetworkRow | None:
            seen = await self._etcd.transact([], [store.read(rows.ALLOCATION), store.read_below(rows.NETWORKS)])
            turn = seen.reads[0][0].changed if seen.reads[0] else 0
            row = choose(_networks(seen.reads[1]))
            done = await self._etcd.transact(
                [store.unchanged(rows.ALLOCATION, turn)],
                [store.put(rows.ALLOCATION, self.config.host),
                 store.put(rows.network_key(network), rows.text(row), lease)])
            return row if done.succeeded else None

        self._reserved[network] = await self._try("create the network", attempt)

    def reserved(self, network: str) -> NetworkRow | None:
        """A network that is being created here."""
        return self._reserved.get(network)

    async def publish(self, network: str, row: NetworkRow) -> None:
        """The reserved network is there for everybody, and lasts."""
        key = rows.network_key(network)
        done = await self._call(lambda: self._etcd.transact([store.present(key)], [store.put(key, rows.text(row))]))
        if not done.succeeded:
            raise SystemFailure(f"network {row.name}: its reservation has run out; try again")
        self._reserved.pop(network, None)
        await self._watcher.reached(done.revision, 2.0)

    async def remove(self, network: str) -> None:
        """InUse while it has an endpoint on any host. Fine when it is gone."""
        endpoints = f"{rows.ENDPOINTS}{network}/"
        done = await self._call(lambda: self._etcd.transact(
            [store.none_below(endpoints)],
            [store.delete(rows.network_key(network)), store.delete_below(f"{rows.ADDRESSES}{network}/"),
             store.delete_below(f"{rows.CURSORS}{network}/"), store.put(rows.ALLOCATION, self.config.host)],
            [store.read_below(endpoints)]))
        if not done.succeeded:
            raise InUse([self._user(row) for row in done.reads[0]])
        self._reserved.pop(network, None)
        await self._watcher.reached(done.revision, 2.0)

    def _user(self, row: Row) -> tuple[str, str, str]:
        endpoint = row.key.rpartition("/")[2]
        try:
            found = msgspec.json.decode(row.value, type=EndpointRow)
        except msgspec.DecodeError:
            return "?", endpoint, "?"
        host = self.state.hosts.get(found.host)
        return found.name, endpoint, host.name if host else found.host[:12]

    # -- addresses

    async def take(self, network: str, address: str) -> bool:
        """Whether this very address is ours now; False when it is somebody's."""
        async def attempt(lease: int) -> bool | None:
            key, there = rows.address_key(network, address), rows.network_key(network)
            done = await self._etcd.transact([store.absent(key), store.present(there)],
                                             [store.put(key, self._mine, lease)], [store.read(there)])
            if not done.succeeded and not done.reads[0]:
                raise NotFound(f"network {network} not found in the cluster: it has been removed")
            return done.succeeded

        self._note_taken(network, address)
        return await self._try("take the address", attempt)

    async def take_next(self, network: str, version: int, choose: Callable[[set[str], str], str | None]) -> str | None:
        """The address that ``choose`` picks, given those taken and the one given last; None when it picks none."""
        cursor = f"{rows.CURSORS}{network}/{version}"
        prefix = f"{rows.ADDRESSES}{network}/"
        there = rows.network_key(network)

        async def attempt(lease: int) -> tuple[str | None] | None:
            seen = await self._etcd.transact([], [store.read_below(prefix), store.read(cursor), store.read(there)])
            if not seen.reads[2]:
                raise NotFound(f"network {network} not found in the cluster: it has been removed")
            taken = {row.key.removeprefix(prefix) for row in seen.reads[0]}
            found = choose(taken, seen.reads[1][0].value if seen.reads[1] else "")
            if found is None:
                return (None,)
            self._note_taken(network, found)
            key = rows.address_key(network, found)
            done = await self._etcd.transact([store.absent(key), store.present(there)],
                                             [store.put(key, self._mine, lease), store.put(cursor, found)])
            return (found,) if done.succeeded else None

        return (await self._try("take an address", attempt))[0]

    def _note_taken(self, network: str, address: str) -> None:
        self._owed.discard((network, address))
        self._fresh.add((network, address))
        self._freed.discard((network, address))

    async def release(self, network: str, address: str) -> None:
        """Fine when it is not ours. What cannot be given back now is when etcd is back (``settle_debts``)."""
        self._fresh.discard((network, address))
        if (network, address) in self._freed:      # with its endpoint, one write of the store's less
            self._freed.discard((network, address))
            return
        key = rows.address_key(network, address)
        try:
            await self._etcd.transact([store.holds(key, self._mine)], [store.delete(key)], patient=False)
        except EtcdError as error:
            self._owed.add((network, address))
            _log.warning("address %s is given back later: %s", address, error)

    async def settle_debts(self) -> None:
        """Give back what could not be given back when it was free."""
        for network, address in list(self._owed):
            self._owed.discard((network, address))
            if not any(local.network == network and address in local.row.addresses
                       for local in files.locals_(self.run).values()):
                await self.release(network, address)

    async def forget_reservations(self) -> None:
        """Take back networks that an engine of this host was creating when it ended."""
        for network, row in list(self.state.networks.items()):
            if row.pending and row.host == self.config.host:
                try:
                    await self.remove(network)
                except (InUse, Unavailable, SystemFailure) as error:
                    _log.warning("network %s: %s", row.name, error)

    async def forget_addresses(self) -> None:
        """Give back the addresses of this host that no endpoint has: an engine before this one ended between two
        steps."""
        wanted = {(local.network, address) for local in files.locals_(self.run).values()
                  for address in local.row.addresses}
        for network, found in list(self.state.addresses.items()):
            for address, host in list(found.items()):
                if host == self.config.host and (network, address) not in wanted | self._fresh:
                    await self.release(network, address)

    # -- endpoints

    async def register(self, network: str, row: NetworkRow, endpoint: str, value: EndpointRow) -> None:
        """Known to all hosts when this returns, and what the others have is known here: tables and names."""
        files.write(files.network_path(self.run, network), row)
        files.write(files.endpoint_path(self.run, endpoint), Local(network=network, row=value))
        try:
            revision = await self._register(network, endpoint, value)
            await self._available(lambda: self._agent.ask("sync", revision=revision))
        except BaseException:
            await self.unregister(network, endpoint)
            raise

    async def _register(self, network: str, endpoint: str, value: EndpointRow) -> int:
        async def attempt(lease: int) -> int:
            try:
                return await register(self._etcd, lease, network, endpoint, value)
            except Taken as reason:
                raise Conflict(f"endpoint {endpoint[:12]} cannot be registered in the cluster: {reason}") from None

        return await self._try("register the endpoint", attempt)

    async def update(self, network: str, endpoint: str, value: EndpointRow) -> None:
        """Other names for a registered endpoint."""
        files.write(files.endpoint_path(self.run, endpoint), Local(network=network, row=value))
        await self._register(network, endpoint, value)

    async def unregister(self, network: str, endpoint: str) -> None:
        """Its addresses are free, too. Never fails: what etcd cannot be told now the agent tells it later, since the
        file is gone."""
        local = self.local(endpoint)
        files.endpoint_path(self.run, endpoint).unlink(missing_ok=True)
        addresses = local.row.addresses if local else ()
        keys = [rows.address_key(network, address) for address in addresses]
        gone = store.delete(rows.endpoint_key(network, endpoint))
        try:
            done = await self._etcd.transact([store.holds(key, self._mine) for key in keys],
                                             [gone, *map(store.delete, keys)], [gone], patient=False)
            if done.succeeded:
                self._freed |= {(network, address) for address in addresses}
        except EtcdError as error:
            _log.warning("endpoint %s is taken back later: %s", endpoint[:12], error)

    def keep(self, network: str, row: NetworkRow, endpoint: str, value: EndpointRow) -> None:
        """An endpoint that lives and has lost its file: the agent sees that it is registered."""
        files.write(files.network_path(self.run, network), row)
        files.write(files.endpoint_path(self.run, endpoint), Local(network=network, row=value))

    async def forget_endpoints(self, kept: Iterable[str]) -> None:
        """Take back all endpoints of this host but those: an engine before this one ended between two steps."""
        wanted = set(kept)
        for endpoint, local in files.locals_(self.run).items():
            if endpoint not in wanted:
                await self.unregister(local.network, endpoint)

    def local(self, endpoint: str) -> Local | None:
        """An endpoint of this host, as registered."""
        return files.read(files.endpoint_path(self.run, endpoint), Local)

    def uses(self, network: str) -> bool:
        """Whether this host has endpoints on a network."""
        return any(local.network == network for local in files.locals_(self.run).values())

    def forget(self, network: str) -> None:
        """This host takes no part in it any more."""
        files.network_path(self.run, network).unlink(missing_ok=True)

    # -- how

    async def _lease(self) -> int:
        status = await self._agent.ask("status")
        if status["problem"] or not status["lease"]:
            status = await self._agent.ask("beat")
        return int(status["lease"])

    async def _try(self, what: str, attempt: Callable[[int], Awaitable[T | None]]) -> T:
        """Again while somebody else is quicker (None), and once more when the lease has run out meanwhile."""
        for _ in range(_ATTEMPTS):
            lease = await self._available(self._lease)
            try:
                found = await self._available(lambda lease=lease: attempt(lease))  # type: ignore[misc]
            except LeaseGone:
                await self._available(lambda: self._agent.ask("beat"))
                continue
            if found is not None:
                return found
        raise Unavailable(f"cannot {what}: other hosts were quicker {_ATTEMPTS} times")

    async def _call(self, action: Callable[[], Awaitable[Outcome]]) -> Outcome:
        return await self._available(action)

    async def _available(self, action: Callable[[], Awaitable[T]]) -> T:
        try:
            return await action()
        except LeaseGone:
            raise
        except (Unreachable, Unavailable) as error:
            raise Unavailable(f"the cluster's etcd cannot be reached ({error}): existing connections go on, but "
                              "nothing on overlay networks can be created or attached until it is back") from error
        except EtcdError as error:
            raise SystemFailure(str(error)) from error


def _networks(found: Iterable[Row]) -> dict[str, NetworkRow]:
    known = {}
    for row in found:
        try:
            known[row.key.removeprefix(rows.NETWORKS)] = msgspec.json.decode(row.value, type=NetworkRow)
        except msgspec.DecodeError:
            continue
    return known
