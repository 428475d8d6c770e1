"""What the cluster keeps in etcd: a key and a value for every host, network, address and endpoint.

    /solva/hosts/HOST                     HostRow          bound to the host's lease
    /solva/networks/NETWORK               NetworkRow       lasts (bound to a lease only while it is being created)
    /solva/addresses/NETWORK/ADDRESS      AddressRow       bound to the host's lease
    /solva/endpoints/NETWORK/ENDPOINT     EndpointRow      bound to the host's lease
    /solva/cursors/NETWORK/VERSION        an address       the one given last: a freed one does not come back at once
    /solva/allocation                     a host           put with every new network: creations go one after the other

Other tools may read this; the form is kept. Unknown fields are ignored.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any

import msgspec

ROOT = "/solva/"
HOSTS = f"{ROOT}hosts/"
NETWORKS = f"{ROOT}networks/"
ADDRESSES = f"{ROOT}addresses/"
ENDPOINTS = f"{ROOT}endpoints/"
CURSORS = f"{ROOT}cursors/"
ALLOCATION = f"{ROOT}allocation"
TUNNELS = ipaddress.IPv6Network("fd5a:9c1e:70b4:e0::/64")
"""Addresses of the hosts inside their WireGuard tunnels (``tunnel.py``)."""


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """``address``: where its VXLAN packets go. ``mtu``: of the underlay link there, 0 unknown. ``name``: for people.
    ``key``, ``key_port``: its public WireGuard key and UDP port; "" and 0 when it has no WireGuard."""

    address: str
    mtu: int = 0
    name: str = ""
    key: str = ""
    key_port: int = 0


class NetworkRow(msgspec.Struct, frozen=True, kw_only=True):
    """``record``: the engine's own, the same on every host. ``pending``: being created, not to be used yet. ``flood``:
    broadcasts and multicasts go to all hosts. ``encrypted``: its packets go through the hosts' tunnels only. ``host``:
    where it was created."""

    name: str
    vni: int
    mtu: int = 0
    subnets: tuple[str, ...] = ()
    flood: bool = False
    encrypted: bool = False
    pending: bool = False
    host: str = ""
    record: dict[str, Any] = {}


class AddressRow(msgspec.Struct, frozen=True, kw_only=True):
    """``host``: whose endpoint has it."""

    host: str


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """``names``: everything the others may call it; the first is what its address resolves back to. ``sandbox``,
    ``name``: id and name of the container. Addresses without a prefix length, "" for none."""

    host: str
    mac: str
    sandbox: str = ""
    name: str = ""
    ipv4: str = ""
    ipv6: str = ""
    names: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for address in (self.ipv4, self.ipv6) if address)


def text(row: msgspec.Struct) -> str:
    """A row as it stands in etcd: equal rows give equal texts."""
    return msgspec.json.encode(row, order="deterministic").decode()


def tunnel_address(host: str) -> str:
    """The one of a host inside the tunnels: it follows from its id, so that no host can claim another's."""
    number = int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big")
    return str(TUNNELS[number or 1])


def is_tunnel(address: str) -> bool:
    """Whether a host is addressed inside its tunnel. ValueError for what is no address."""
    return ipaddress.ip_address(address) in TUNNELS


def host_key(host: str) -> str:
    return f"{HOSTS}{host}"


def network_key(network: str) -> str:
    return f"{NETWORKS}{network}"


def address_key(network: str, address: str) -> str:
    return f"{ADDRESSES}{network}/{address}"


def endpoint_key(network: str, endpoint: str) -> str:
    return f"{ENDPOINTS}{network}/{endpoint}"
