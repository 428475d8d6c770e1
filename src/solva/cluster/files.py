"""What the engine tells the agent in files below ``run/cluster``, and the lease: it is all there after either's death.

    config.json                 Config: servers, this host's id and address
    lease.json                  the host's lease in etcd
    tunnel                      the network namespace of the WireGuard link (tunnel.py)
    networks/NETWORK.json       NetworkRow of a network that this host takes part in
    endpoints/ENDPOINT.json     Local: an endpoint of this host
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from solva.cluster.rows import EndpointRow, HostRow, NetworkRow

T = TypeVar("T", bound=msgspec.Struct)
PROTOCOL = 2
"""Of the agent's socket and these files: a living agent of another number is replaced."""


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """How this host does WireGuard. ``program``: ``kernel``, or one that serves such links. ``key``: the public one;
    the private one is in ``key_file``, and nowhere else. ``port``: UDP."""

    program: str
    key: str
    key_file: str
    port: int


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """``host``: the engine's id, the same for ever. ``mtu``: of the link that has ``address``. ``lease``: seconds.
    ``tunnel`` None: this host takes no part in encrypted networks, and ``no_tunnel`` says why."""

    servers: tuple[tuple[str, int], ...]
    host: str
    address: str
    mtu: int
    name: str
    lease: int
    port: int
    tunnel: Tunnel | None = None
    no_tunnel: str = ""

    def host_row(self) -> HostRow:
        """This host, as it is registered."""
        tunnel = self.tunnel
        return HostRow(address=self.address, mtu=self.mtu, name=self.name, key=tunnel.key if tunnel else "",
                       key_port=tunnel.port if tunnel else 0)


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of this host."""

    network: str
    row: EndpointRow


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """``servers`` tells another cluster's lease from ours."""

    id: int
    servers: tuple[tuple[str, int], ...]


def folder(run: Path) -> Path:
    return run / "cluster"


def socket_path(run: Path) -> Path:
    return folder(run) / "agent.sock"


def pid_path(run: Path) -> Path:
    return folder(run) / "agent.pid"


def log_path(run: Path) -> Path:
    return folder(run) / "agent.log"


def write(path: Path, value: msgspec.Struct) -> None:
    """Whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(value))
    os.replace(fresh, path)


def read(path: Path, kind: type[T]) -> T | None:
    """None when there is no such file, or a damaged one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def config_path(run: Path) -> Path:
    return folder(run) / "config.json"


def lease_path(run: Path) -> Path:
    return folder(run) / "lease.json"


def network_path(run: Path, network: str) -> Path:
    return folder(run) / "networks" / f"{network}.json"


def endpoint_path(run: Path, endpoint: str) -> Path:
    return folder(run) / "endpoints" / f"{endpoint}.json"


def locals_(run: Path) -> dict[str, Local]:
    """Endpoints of this host by id."""
    return _all(folder(run) / "endpoints", Local)


def networks(run: Path) -> dict[str, NetworkRow]:
    """Networks of this host by id."""
    return _all(folder(run) / "networks", NetworkRow)


def _all(where: Path, kind: type[T]) -> dict[str, T]:
    found = {}
    for path in sorted(where.glob("*.json")):
        value = read(path, kind)
        if value is not None:
            found[path.stem] = value
    return found
