"""The engine's place in a cluster, from ``--cluster`` and ``--advertise`` (or ``[cluster]`` of engine.toml)."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from solva.cluster import etcd
from solva.cluster.files import Config, Tunnel
from solva.errors import InvalidParameter
from solva.kernel import links, vxlan, wireguard
from solva.kernel.netlink import Netlink

LEASE_SECONDS = 15
WIREGUARD_PORT = 51821      # 51820 is often an administrator's own
_SHORTEST, _LONGEST = 2, 3600


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """``url``: etcd://HOST:PORT[,...]. ``advertise``: an address of this host that the others reach, or the name of the
    interface that has it; "" is the one that leads to etcd. ``lease``: seconds after which a dead host's entries go.
    ``wireguard``: who encrypts: ``kernel``, or a program that serves WireGuard links (wireguard-go)."""

    url: str
    advertise: str = ""
    lease: int = LEASE_SECONDS
    port: int = vxlan.PORT
    wireguard: str = wireguard.KERNEL
    wireguard_port: int = WIREGUARD_PORT


def resolve(settings: ClusterSettings, host: str, data: Path) -> Config:
    """What the agent works with; ``host`` is the engine's id, ``data`` where it keeps its WireGuard key.
    InvalidParameter says what is wrong and what there is."""
    try:
        servers = etcd.parse_url(settings.url)
    except ValueError as error:
        raise InvalidParameter(f"--cluster: {error}") from None
    if not _SHORTEST <= settings.lease <= _LONGEST:
        raise InvalidParameter(f"cluster.lease is {settings.lease}; it must be {_SHORTEST} to {_LONGEST} seconds")
    kernel = Netlink()
    try:
        names = {link.index: link for link in links.list_links(kernel)}
        found = [(names[row.index], row.address) for row in links.list_addresses(kernel) if row.index in names]
    finally:
        kernel.close()
    link, address = _advertised(settings.advertise or _source(servers), found)
    tunnel, no_tunnel = _tunnel(settings, data)
    return Config(servers=servers, host=host, address=address, mtu=link.mtu, name=os.uname().nodename,
                  lease=settings.lease, port=settings.port, tunnel=tunnel, no_tunnel=no_tunnel)


def _tunnel(settings: ClusterSettings, data: Path) -> tuple[Tunnel | None, str]:
    """How this host encrypts, or why it cannot."""
    try:
        refusal = wireguard.refusal(settings.wireguard)
        if refusal:
            return None, refusal
        path = data / "cluster" / "wireguard.key"
        return Tunnel(program=settings.wireguard, key=wireguard.own_key(path), key_file=str(path),
                      port=settings.wireguard_port), ""
    except OSError as error:
        return None, error.strerror or str(error)


def _source(servers: tuple[etcd.Server, ...]) -> str:
    """This host's address on the way to etcd. Nothing is sent."""
    for host, port in servers:
        try:
            family, kind, proto, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind, proto) as probe:
                probe.connect(target)
                address = str(probe.getsockname()[0])
        except OSError:
            continue
        if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            return address
    raise InvalidParameter("--cluster needs --advertise: the address of this host (or its interface) that the engines "
                           "of the other hosts reach")


def _advertised(wanted: str, found: list[tuple[links.Link, str]]) -> tuple[links.Link, str]:
    usable = [(link, address) for link, address in found
              if not ipaddress.ip_address(address).is_loopback and not ipaddress.ip_address(address).is_link_local]
    for link, address in usable:
        if address == wanted:
            return link, address
    of_link = sorted((address for link, address in usable if link.name == wanted), key=lambda text: ":" in text)
    if of_link:
        return next(link for link, _ in usable if link.name == wanted), of_link[0]
    there = ", ".join(f"{address} ({link.name})" for link, address in usable)
    raise InvalidParameter(f"--advertise {wanted}: no interface of this host has that address or name; "
                           + (f"there are {there}" if there else "there is no address but loopback's"))
