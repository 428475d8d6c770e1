"""The cluster as one host knows it, and what follows from that for a network's tables and names. Pure.

A snapshot replaces everything, events change it; whatever the order in which they come, the result is that of the
store (tests/unit/cluster/test_state.py).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from solva.cluster import rows
from solva.cluster.etcd import Batch, Row, Snapshot
from solva.cluster.rows import EndpointRow, HostRow, NetworkRow
from solva.kernel import wireguard
from solva.kernel.vxlan import EVERYBODY, Forward, Neighbour
from solva.kernel.wireguard import Peer

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Placed:
    """An endpoint of the cluster. ``created``: the older one wins where two claim the same."""

    id: str
    row: EndpointRow
    created: int = 0


@dataclass(frozen=True, slots=True)
class Tables:
    """What the VXLAN link of a network has to be told."""

    forwards: frozenset[Forward] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()


@dataclass(slots=True)
class State:
    """``known``: a snapshot has been seen; before that nothing follows from what is not in here."""

    known: bool = False
    revision: int = 0
    hosts: dict[str, HostRow] = field(default_factory=dict)
    networks: dict[str, NetworkRow] = field(default_factory=dict)
    endpoints: dict[str, dict[str, Placed]] = field(default_factory=dict)
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)      # network -> address -> host

    def replace(self, snapshot: Snapshot) -> None:
        """Everything is as the snapshot says."""
        self.hosts.clear()
        self.networks.clear()
        self.endpoints.clear()
        self.addresses.clear()
        for row in snapshot.rows:
            self._set(row.key, row)
        self.known = True
        self.revision = snapshot.revision

    def apply(self, batch: Batch) -> bool:
        """What has happened since; events from before what is known are left out. Whether anything changed."""
        changed = False
        for change in batch.changes:
            # A transaction's changes share one revision, so an equal one is taken (twice does no harm).
            if change.revision < self.revision:
                continue
            self.revision = change.revision
            self._set(change.key, change.row)
            changed = True
        return changed

    def _set(self, key: str, row: Row | None) -> None:
        kind, _, rest = key.removeprefix(rows.ROOT).partition("/")
        network, _, name = rest.partition("/")
        if kind == "hosts" and rest:
            _keep(self.hosts, rest, _decode(row, HostRow))
        elif kind == "networks" and rest:
            _keep(self.networks, rest, _decode(row, NetworkRow))
        elif kind == "addresses" and name:
            found = _decode(row, rows.AddressRow)
            _keep_below(self.addresses, network, name, found.host if found else None)
        elif kind == "endpoints" and name:
            endpoint = _decode(row, EndpointRow)
            placed = Placed(name, endpoint, row.created) if row and endpoint else None
            _keep_below(self.endpoints, network, name, placed)

    # -- what follows

    def ready(self, network: str) -> NetworkRow | None:
        """A network that may be used."""
        found = self.networks.get(network)
        return None if found is None or found.pending else found

    def of_network(self, network: str) -> list[Placed]:
        """Oldest first: of two that claim one address the first is believed."""
        return sorted(self.endpoints.get(network, {}).values(), key=lambda placed: (placed.created, placed.id))

    def of_host(self, host: str) -> Iterator[tuple[str, Placed]]:
        for network, endpoints in self.endpoints.items():
            for placed in endpoints.values():
                if placed.row.host == host:
                    yield network, placed

    def peers(self, network: str, here: str) -> list[Placed]:
        """Endpoints on other hosts that can be reached: their host is registered, and has a tunnel if the network's
        packets go through it."""
        return [placed for placed in self.of_network(network) if placed.row.host != here
                and self._target(network, placed.row.host)]

    def _target(self, network: str, host: str) -> str:
        """Where packets for a host go, "" for nowhere. Of an encrypted network that is never its plain address."""
        row, found = self.networks.get(network), self.hosts.get(host)
        if found is None:
            return ""
        if row is not None and row.encrypted:
            return rows.tunnel_address(host) if _has_tunnel(found) else ""
        return found.address

    def tunnels(self, here: str) -> list[Peer]:
        """The other hosts, as this host's WireGuard link has to know them."""
        own = self.hosts.get(here)
        return [Peer(row.key, wireguard.endpoint(row.address, row.key_port), rows.tunnel_address(host))
                for host, row in sorted(self.hosts.items())
                if host != here and _has_tunnel(row) and (own is None or row.key != own.key)]

    def tables(self, network: str, here: str) -> Tables:
        """What ``here`` has to know to reach all endpoints of other hosts."""
        macs: dict[str, str] = {}
        addresses: dict[str, str] = {}
        own = {address for placed in self.of_network(network) if placed.row.host == here
               for address in placed.row.addresses}
        for placed in self.peers(network, here):
            mac = placed.row.mac.lower()
            macs.setdefault(mac, self._target(network, placed.row.host))
            for address in placed.row.addresses:
                if address not in own:
                    addresses.setdefault(address, mac)
        forwards = {Forward(mac, host) for mac, host in macs.items()}
        row = self.networks.get(network)
        if row is not None and row.flood:
            forwards |= {Forward(EVERYBODY, host) for host in macs.values()}
        return Tables(frozenset(forwards), frozenset(Neighbour(*pair) for pair in addresses.items()))


def _has_tunnel(row: HostRow) -> bool:
    """Nobody's bad row may make the others' peers be refused."""
    try:
        ipaddress.ip_address(row.address)
    except ValueError:
        return False
    return wireguard.is_key(row.key) and 0 < row.key_port < 65536


def _decode(row: Row | None, kind: type[T]) -> T | None:
    """None also for what is not of the form: nobody's bad row may stop the others."""
    if row is None:
        return None
    try:
        return msgspec.json.decode(row.value, type=kind)
    except msgspec.DecodeError:
        return None


V = TypeVar("V")


def _keep(table: dict[str, V], key: str, value: V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _keep_below(table: dict[str, dict[str, V]], first: str, second: str, value: V | None) -> None:
    inner = table.setdefault(first, {})
    _keep(inner, second, value)
    if not inner:
        del table[first]
