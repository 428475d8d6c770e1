"""Connection tracking entries: forget what was known of an address or a port (ctnetlink).

A UDP flow keeps its entry as long as packets come, and with it the translation that held when it began: an entry from
before a port was published, or of a container that is gone, sends packets the wrong way until it is removed.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from solva.kernel import netlink
from solva.kernel.netlink import F_DUMP, NETLINK_NETFILTER, Netlink, NetlinkError, Request

_SUBSYSTEM = 1
_GET, _DELETE = 1, 2
_TUPLE_ORIG, _TUPLE_REPLY, _ID, _ZONE = 1, 2, 12, 18
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, _PROTO_DPORT = 1, 3
_NFGEN = struct.Struct("=BBH")


@dataclass(frozen=True, slots=True)
class Flow:
    """An entry. ``reply_source`` is who answers: the container's address behind a published port."""

    proto: int
    destination: str
    port: int
    source: str
    reply_source: str


def forget(matches: Callable[[Flow], bool]) -> int:
    """Remove every entry of the namespace for which ``matches`` holds; how many."""
    try:
        connection = Netlink(NETLINK_NETFILTER)
    except OSError:
        return 0      # no conntrack in this kernel: nothing to forget
    try:
        count = 0
        for family in (socket.AF_INET, socket.AF_INET6):
            for flow, raw in _flows(connection, family):
                if matches(flow) and _delete(connection, family, raw):
                    count += 1
        return count
    finally:
        connection.close()


def _flows(connection: Netlink, family: int) -> Iterator[tuple[Flow, dict[int, bytes]]]:
    body = _NFGEN.pack(family, 0, 0)
    try:
        rows = connection.query(Request((_SUBSYSTEM << 8) | _GET, F_DUMP, body, "list connections"))
    except NetlinkError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOENT):
            return
        raise
    for row in rows:
        values = netlink.attributes(row[_NFGEN.size:])
        origin, reply = (netlink.attributes(values.get(kind, b"")) for kind in (_TUPLE_ORIG, _TUPLE_REPLY))
        proto = netlink.attributes(origin.get(_TUPLE_PROTO, b""))
        source, destination = _addresses(origin.get(_TUPLE_IP, b""))
        reply_source, _ = _addresses(reply.get(_TUPLE_IP, b""))
        if not source:
            continue
        number = int.from_bytes(proto.get(_PROTO_NUM, b"\0"), "big")
        port = int.from_bytes(proto.get(_PROTO_DPORT, b"\0\0"), "big")
        yield Flow(number, destination, port, source, reply_source), values


def _addresses(data: bytes) -> tuple[str, str]:
    values = netlink.attributes(data)
    pair = (values.get(1) or values.get(3), values.get(2) or values.get(4))
    return str(ipaddress.ip_address(pair[0])) if pair[0] else "", str(ipaddress.ip_address(pair[1])) if pair[1] else ""


def _delete(connection: Netlink, family: int, values: dict[int, bytes]) -> bool:
    body = [_NFGEN.pack(family, 0, 0), netlink.attr(_TUPLE_ORIG | netlink.F_NESTED, values[_TUPLE_ORIG])]
    body += [netlink.attr(kind, values[kind]) for kind in (_ID, _ZONE) if kind in values]
    try:
        connection.execute([Request((_SUBSYSTEM << 8) | _DELETE, 0, b"".join(body), "forget a connection")])
    except NetlinkError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True
