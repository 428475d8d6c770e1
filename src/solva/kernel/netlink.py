"""Netlink messages: attributes packed and parsed, requests sent in batches, errors with the kernel's own words.

Only what links, addresses, routes and connection tracking need, so that the engine carries no netlink library: see
docs/design/004-networks.md. A socket belongs to the network namespace of the thread that opened it, for ever.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

F_REQUEST, F_ACK, F_ROOT, F_MATCH, F_EXCL, F_CREATE = 0x01, 0x04, 0x100, 0x200, 0x200, 0x400
F_REPLACE = 0x100
F_DUMP = F_ROOT | F_MATCH
F_NESTED = 0x8000

_SOL_NETLINK = 270
_CAP_ACK, _EXT_ACK = 10, 11
_ERROR, _DONE = 2, 3
_F_CAPPED, _F_ACK_TLVS = 0x100, 0x200
_HEADER = struct.Struct("=IHHII")
_ATTR = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_RECEIVE = 1 << 16


class NetlinkError(OSError):
    """A refused request: errno, and a text with the operation and the kernel's explanation if it gave one."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message. ``what`` names operation and object for the error text."""

    type: int
    flags: int
    body: bytes
    what: str


def attr(kind: int, value: bytes) -> bytes:
    """One attribute with its padding."""
    size = 4 + len(value)
    return _ATTR.pack(size, kind) + value + b"\0" * (-size & 3)


def attr_u8(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("=B", value))


def attr_u16(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("=H", value))


def attr_u32(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("=I", value))


def attr_text(kind: int, value: str) -> bytes:
    return attr(kind, value.encode() + b"\0")


def attr_nest(kind: int, *inner: bytes) -> bytes:
    return attr(kind | F_NESTED, b"".join(inner))


def attributes(data: bytes | memoryview) -> dict[int, bytes]:
    """Attributes by number, the last of a kind. Nested ones are parsed by calling this again."""
    found: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        size, kind = _ATTR.unpack_from(data, position)
        if size < 4:
            break
        found[kind & _TYPE_MASK] = bytes(data[position + 4:position + size])
        position += (size + 3) & ~3
    return found


class Netlink:
    """A netlink socket in the network namespace of the thread that makes it. Not for two threads at once."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def execute(self, requests: Iterable[Request]) -> None:
        """Send all in one batch; the kernel tries every one of them. NetlinkError tells of the first that failed."""
        pending = self._send(requests, F_REQUEST | F_ACK)
        failure: NetlinkError | None = None
        while pending:
            for kind, flags, sequence, payload in self._messages():
                request = pending.get(sequence)
                if request is None or kind != _ERROR:
                    continue
                del pending[sequence]
                problem = _problem(request, flags, payload)
                failure = failure or problem
        if failure is not None:
            raise failure

    def query(self, request: Request) -> list[bytes]:
        """The answers to one question: one for a get, all of them for a dump (``flags`` has F_DUMP)."""
        pending = self._send([request], F_REQUEST | (0 if request.flags & F_DUMP == F_DUMP else F_ACK))
        answers: list[bytes] = []
        while True:
            for kind, flags, sequence, payload in self._messages():
                if sequence not in pending:
                    continue
                if kind == _DONE:
                    return answers
                if kind == _ERROR:
                    problem = _problem(request, flags, payload)
                    if problem is not None:
                        raise problem
                    return answers
                answers.append(payload)

    def _send(self, requests: Iterable[Request], flags: int) -> dict[int, Request]:
        pending: dict[int, Request] = {}
        parts: list[bytes] = []
        for request in requests:
            self._sequence += 1
            size = _HEADER.size + len(request.body)
            parts.append(_HEADER.pack(size, request.type, request.flags | flags, self._sequence, 0))
            parts.append(request.body + b"\0" * (-size & 3))
            pending[self._sequence] = request
        if parts:
            self._socket.send(b"".join(parts))
        return pending

    def _messages(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(_RECEIVE)
        position = 0
        while position + _HEADER.size <= len(data):
            size, kind, flags, sequence, _ = _HEADER.unpack_from(data, position)
            yield kind, flags, sequence, data[position + _HEADER.size:position + size]
            position += (size + 3) & ~3


def _problem(request: Request, flags: int, payload: bytes) -> NetlinkError | None:
    (code,) = struct.unpack_from("=i", payload)
    if code == 0:
        return None
    text = os.strerror(-code)
    if flags & _F_ACK_TLVS:
        start = 4 + _HEADER.size
        if not flags & _F_CAPPED:
            (size,) = struct.unpack_from("=I", payload, 4)
            start = 4 + ((size + 3) & ~3)
        said = attributes(payload[start:]).get(1)
        if said:
            text += f" ({said.rstrip(bytes(1)).decode(errors='replace').rstrip('.')})"
    return NetlinkError(-code, f"{request.what}: {text}")


def already(error: NetlinkError) -> bool:
    """Whether the refusal says that the object is there."""
    return error.errno == errno.EEXIST


def gone(error: NetlinkError) -> bool:
    """Whether the refusal says that the object is not there."""
    return error.errno in (errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL)
