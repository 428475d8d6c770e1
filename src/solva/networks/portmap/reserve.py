"""Host ports: chosen, and held by bound sockets, so that nobody else takes what the firewall sends to a container.

The sockets are bound and no more: nothing listens, nothing is accepted, a UDP one has a filter that drops all. They go
with the engine; the rules stay and the next engine binds them again.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import sysctl
from solva.networks.model import PortMapping, PublishedPort
from solva.networks.portmap import owner

PROTOCOLS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, 132)}
_SO_ATTACH_FILTER = 26
_DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)      # one instruction: return 0
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Claim:
    """A mapping to be held at ``hosts`` (one or both families), all with one port; ``target`` is for error texts."""

    mapping: PortMapping
    hosts: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class Held:
    """A port that is held at one address."""

    proto: str
    host_ip: str
    host_port: int
    socket: socket.socket


class Ports:
    """All ports this engine holds. ``holder`` names the sandbox behind an id for the conflict's text."""

    def __init__(self, holder: Callable[[str], str]) -> None:
        self._holder = holder
        self._held: dict[str, list[Held]] = {}
        self._cursor = 0

    def reserve(self, sandbox_id: str, claims: Sequence[Claim]) -> list[list[Held]]:
        """A row for every claim, in order. All of it or nothing; SystemFailure in Docker's words, with the holder."""
        rows: list[list[Held]] = []
        with ExitStack() as undo:
            for claim in claims:
                row = self._claim(claim, [held for done in rows for held in done])
                for held in row:
                    undo.callback(held.socket.close)
                rows.append(row)
            undo.pop_all()
        self._held.setdefault(sandbox_id, []).extend(held for row in rows for held in row)
        return rows

    def adopt(self, sandbox_id: str, ports: Iterable[tuple[str, str, int]],
              sockets: Mapping[tuple[str, str, int], socket.socket]) -> list[str]:
        """Hold again what the kernel's rules publish already: (proto, host_ip, host_port); what could not be bound.
        ``sockets``: those that another process has held meanwhile."""
        problems = []
        for proto, host_ip, port in ports:
            try:
                held = Held(proto, host_ip, port,
                            sockets.get((proto, host_ip, port)) or _bind(proto, host_ip, port))
            except OSError as error:
                problems.append(f"{host_ip}:{port}/{proto}: {os.strerror(error.errno or 0).lower()}")
                continue
            self._held.setdefault(sandbox_id, []).append(held)
        return problems

    def release(self, sandbox_id: str, ports: Iterable[PublishedPort] | None = None) -> None:
        """All of a sandbox, or these of it. Fine when there is nothing."""
        rows = self._held.pop(sandbox_id, [])
        gone = None if ports is None else {(port.proto, port.host_ip, port.host_port) for port in ports}
        kept = [] if gone is None else [held for held in rows
                                        if (held.proto, held.host_ip, held.host_port) not in gone]
        for held in rows:
            if held not in kept:
                held.socket.close()
        if kept:
            self._held[sandbox_id] = kept

    def sockets(self, sandbox_id: str) -> Mapping[tuple[str, str, int], socket.socket]:
        """What is held for a sandbox, by (proto, host_ip, host_port)."""
        return {(held.proto, held.host_ip, held.host_port): held.socket for held in self._held.get(sandbox_id, [])}

    def close(self) -> None:
        """Let go of all sockets; the rules stay."""
        for sandbox_id in list(self._held):
            self.release(sandbox_id)

    def _claim(self, claim: Claim, fresh: Sequence[Held]) -> list[Held]:
        mapping = claim.mapping
        if mapping.proto not in PROTOCOLS:
            raise InvalidParameter(f"invalid proto: {mapping.proto}")
        if mapping.host_port and not mapping.host_port_end:
            return self._bind_all(claim, mapping.host_port, fresh)
        candidates: Iterable[int] = range(mapping.host_port, mapping.host_port_end + 1)
        if not mapping.host_port:
            candidates = self._ephemeral()
        failure: SystemFailure | None = None
        for port in candidates:
            try:
                row = self._bind_all(claim, port, fresh)
            except SystemFailure as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno != errno.EADDRINUSE:
                    raise
                failure = error
                continue
            if not mapping.host_port:
                self._cursor = port
            return row
        raise failure or SystemFailure(f"Bind for {_at(claim.hosts[0], 0)} failed: all ports are allocated")

    def _ephemeral(self) -> Iterable[int]:
        """Ports of the kernel's range without the reserved ones, on from the last one given."""
        low, high = (int(part) for part in (sysctl.read("ipv4/ip_local_port_range") or "32768 60999").split())
        reserved: set[int] = set()
        for part in sysctl.read("ipv4/ip_local_reserved_ports").split(","):
            first, _, last = part.partition("-")
            if first:
                reserved.update(range(int(first), int(last or first) + 1))
        start = self._cursor + 1 if low <= self._cursor < high else low
        return (port for port in (*range(start, high + 1), *range(low, start)) if port not in reserved)

    def _bind_all(self, claim: Claim, port: int, fresh: Sequence[Held]) -> list[Held]:
        proto = claim.mapping.proto
        row: list[Held] = []
        with ExitStack() as undo:
            for host in claim.hosts:
                self._refuse_taken(proto, host, port, fresh)
                try:
                    bound = _bind(proto, host, port)
                except OSError as error:
                    raise SystemFailure(_text(claim, host, port, error)) from error
                undo.callback(bound.close)
                row.append(Held(proto, host, port, bound))
            undo.pop_all()
        return row

    def _refuse_taken(self, proto: str, host: str, port: int, fresh: Sequence[Held]) -> None:
        for sandbox_id, rows in (*self._held.items(), ("", fresh)):
            for held in rows:
                if held.host_port == port and held.proto == proto and _clash(held.host_ip, host):
                    by = f" by {self._holder(sandbox_id)}" if sandbox_id else " by this very container"
                    raise SystemFailure(f"Bind for {_at(host, port)} failed: port is already allocated{by}")


def _clash(one: str, other: str) -> bool:
    first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    return first.version == second.version and (first == second or first.is_unspecified or second.is_unspecified)


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(claim: Claim, host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EPROTONOSUPPORT:
        return f"failed to listen on {_at(host, port)}: protocol not supported: this kernel has no SCTP"
    said = os.strerror(error.errno or 0).lower()
    text = f"failed to bind host port for {_at(host, port)}:{claim.target}/{claim.mapping.proto}: {said}"
    if error.errno == errno.EADDRINUSE:
        holder = owner.find(claim.mapping.proto, host, port)
        if holder is not None:
            text += f": held by {holder}"
    return text


def _bind(proto: str, host: str, port: int) -> socket.socket:
    try:
        return _bound(proto, host, port, reuse=False)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or proto != "tcp" or owner.find(proto, host, port) is not None:
            raise
        # Nobody listens: only connections of an ended server are left (TIME_WAIT), or somebody's socket is bound
        # without reuse as ours are, and then this fails as well.
        return _bound(proto, host, port, reuse=True)


def _bound(proto: str, host: str, port: int, *, reuse: bool) -> socket.socket:
    kind, number = PROTOCOLS[proto]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if proto == "udp":
            program = ctypes.create_string_buffer(_DROP_ALL)
            filter_ = struct.pack("HL", 1, ctypes.addressof(program))
            bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
        if reuse:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        if reuse:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        bound.close()
        raise
    return bound
