"""A packet's way through nftables: rules that mark it, and the kernel's messages about what it meets (nftrace)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from solva.kernel import netlink

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP_TRACE = 9
_TRACE = 10 << 8 | 17
_HEADER = struct.Struct("=IHHII")
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID, _IIF, _OIF, _FAMILY, _POLICY = 1, 2, 3, 4, 5, 6, 10, 12, 15, 16
_VERDICTS = {0: "drop", 1: "accept", -1: "continue", -2: "break", -3: "jump", -4: "goto", -5: "return"}
_FAMILIES = {1: "inet", 2: "ip", 7: "bridge", 10: "ip6"}
_TYPES = {1: "policy", 2: "return", 3: "rule"}


@dataclass(frozen=True, slots=True)
class Hop:
    """``kind``: rule, policy or return. ``packet``: the same for all hops of one packet. Interfaces by index, 0 for
    none."""

    family: str
    table: str
    chain: str
    kind: str
    verdict: str
    handle: int = 0
    packet: int = 0
    incoming: int = 0
    outgoing: int = 0


class Tracer:
    """A socket that collects, in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                                     netlink.NETLINK_NETFILTER)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_TRACE)
        except BaseException:
            self._socket.close()
            raise

    def read(self) -> list[Hop]:
        """Everything that has come."""
        found: list[Hop] = []
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except OSError:      # nothing more, or more than the buffer held: what is there is told
                return found
            position = 0
            while position + _HEADER.size <= len(data):
                size, kind, _, _, _ = _HEADER.unpack_from(data, position)
                if kind == _TRACE:
                    found.append(_hop(data[position + _HEADER.size:position + size]))
                position += max((size + 3) & ~3, _HEADER.size)

    def close(self) -> None:
        self._socket.close()


def _number(values: dict[int, bytes], key: int) -> int:
    return int.from_bytes(values.get(key, b""), "big")


def _text(values: dict[int, bytes], key: int) -> str:
    return values.get(key, b"").rstrip(b"\0").decode(errors="replace")


def _hop(body: bytes) -> Hop:
    values = netlink.attributes(body[4:])
    kind = _TYPES.get(_number(values, _TYPE), "?")
    code = int.from_bytes(netlink.attributes(values.get(_VERDICT, b"")).get(1, b"\0\0\0\1"), "big", signed=True)
    if kind == "policy":
        code = _number(values, _POLICY)
    return Hop(_FAMILIES.get(body[0], str(body[0])), _text(values, _TABLE), _text(values, _CHAIN), kind,
               _VERDICTS.get(code, str(code)), _number(values, _HANDLE), _number(values, _ID), _number(values, _IIF),
               _number(values, _OIF))
