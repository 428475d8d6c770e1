"""VXLAN links, and what they are told of the other side: which MAC is behind which host, which address has which MAC.

Both tables are of permanent entries that a program keeps (``nolearning``, ``proxy``): a packet for an address that is
not in them goes nowhere, nothing is flooded, and questions for a MAC are answered on the spot.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

from solva.kernel import netlink
from solva.kernel.links import mac_bytes
from solva.kernel.netlink import F_CREATE, F_DUMP, F_EXCL, F_REPLACE, Netlink, Request

PORT = 4789
OVERHEAD4, OVERHEAD6 = 50, 70
"""Bytes that the outer headers take from the underlay's MTU, by its IP version."""

EVERYBODY = "00:00:00:00:00:00"
"""The forwarding entry for broadcasts and multicasts; one a host."""

_NEWLINK, _GETLINK = 16, 18
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_IFINFO = struct.Struct("=BxHiII")
_NDMSG = struct.Struct("=BxxxiHBB")
_IFNAME, _MTU, _MASTER, _LINKINFO, _NET_NS_FD = 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA = 1, 2
_VX_ID, _VX_LEARNING, _VX_PROXY, _VX_PORT, _VX_LOCAL4, _VX_LOCAL6 = 1, 7, 11, 15, 4, 17
_NDA_DST, _NDA_LLADDR = 1, 2
_NTF_SELF = 0x02
_NUD_PERMANENT, _NUD_NOARP = 0x80, 0x40
_F_APPEND = 0x800
_AF_BRIDGE = 7


@dataclass(frozen=True, slots=True, order=True)
class Forward:
    """Frames for ``mac`` go to the host at ``host``."""

    mac: str
    host: str


@dataclass(frozen=True, slots=True, order=True)
class Neighbour:
    """``address`` has ``mac``."""

    address: str
    mac: str


def add_vxlan(name: str, *, vni: int, local: str, netns: int, port: int = PORT, mtu: int = 0) -> Request:
    """A VXLAN link in the namespace of an open descriptor; its outer packets go by the namespace of the socket that
    sends this request, from the address ``local``."""
    address = ipaddress.ip_address(local)
    body = [_IFINFO.pack(0, 0, 0, 0, 0), netlink.attr_text(_IFNAME, name), netlink.attr_u32(_NET_NS_FD, netns)]
    if mtu:
        body.append(netlink.attr_u32(_MTU, mtu))
    data = netlink.attr_nest(
        _INFO_DATA, netlink.attr_u32(_VX_ID, vni), netlink.attr_u8(_VX_LEARNING, 0), netlink.attr_u8(_VX_PROXY, 1),
        netlink.attr(_VX_PORT, struct.pack("!H", port)),
        netlink.attr(_VX_LOCAL4 if address.version == 4 else _VX_LOCAL6, address.packed))
    body.append(netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_KIND, b"vxlan"), data))
    return Request(_NEWLINK, F_CREATE | F_EXCL, b"".join(body), f"create VXLAN link {name} with number {vni}")


def local_address(socket_: Netlink, index: int) -> str:
    """From which address a VXLAN link sends, "" for none: the kernel's word, whoever has made the link."""
    request = Request(_GETLINK, 0, _IFINFO.pack(0, 0, index, 0, 0), f"look up link {index}")
    found = netlink.attributes(socket_.query(request)[0][_IFINFO.size:])
    data = netlink.attributes(netlink.attributes(found.get(_LINKINFO, b"")).get(_INFO_DATA, b""))
    packed = data.get(_VX_LOCAL6) or data.get(_VX_LOCAL4)
    return str(ipaddress.ip_address(packed)) if packed else ""


def add_forward(index: int, entry: Forward) -> Request:
    """For an ordinary MAC the entry takes the place of another host's; for ``EVERYBODY`` it is one more."""
    flags = F_CREATE | (_F_APPEND if entry.mac == EVERYBODY else F_REPLACE)
    return Request(_NEWNEIGH, flags, _forward(index, entry, _NUD_NOARP | _NUD_PERMANENT),
                   f"forward {entry.mac} to {entry.host}")


def delete_forward(index: int, entry: Forward) -> Request:
    return Request(_DELNEIGH, 0, _forward(index, entry, 0), f"no longer forward {entry.mac} to {entry.host}")


def _forward(index: int, entry: Forward, state: int) -> bytes:
    return (_NDMSG.pack(_AF_BRIDGE, index, state, _NTF_SELF, 0) + netlink.attr(_NDA_LLADDR, mac_bytes(entry.mac))
            + netlink.attr(_NDA_DST, ipaddress.ip_address(entry.host).packed))


def add_neighbour(index: int, entry: Neighbour) -> Request:
    """An existing entry for the address is replaced."""
    address = ipaddress.ip_address(entry.address)
    body = (_NDMSG.pack(_family(address.version), index, _NUD_PERMANENT, 0, 0)
            + netlink.attr(_NDA_DST, address.packed) + netlink.attr(_NDA_LLADDR, mac_bytes(entry.mac)))
    return Request(_NEWNEIGH, F_CREATE | F_REPLACE, body, f"set neighbour {entry.address} {entry.mac}")


def delete_neighbour(index: int, address: str) -> Request:
    packed = ipaddress.ip_address(address)
    body = _NDMSG.pack(_family(packed.version), index, 0, 0, 0) + netlink.attr(_NDA_DST, packed.packed)
    return Request(_DELNEIGH, 0, body, f"delete neighbour {address}")


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def list_forwards(socket_: Netlink, index: int) -> set[Forward]:
    """The forwarding table of one VXLAN link."""
    found = set()
    # The dump takes an ifinfomsg and filters by its index.
    request = Request(_GETNEIGH, F_DUMP, _IFINFO.pack(_AF_BRIDGE, 0, index, 0, 0), "list forwarding entries")
    for row in socket_.query(request):
        _, link, _, flags, _ = _NDMSG.unpack_from(row)
        values = netlink.attributes(row[_NDMSG.size:])
        if link == index and flags & _NTF_SELF and _NDA_LLADDR in values and _NDA_DST in values:
            found.add(Forward(values[_NDA_LLADDR].hex(":"), str(ipaddress.ip_address(values[_NDA_DST]))))
    return found


def list_neighbours(socket_: Netlink, index: int) -> set[Neighbour]:
    """Permanent neighbours of one link, both IP versions."""
    found = set()
    request = Request(_GETNEIGH, F_DUMP, _NDMSG.pack(0, 0, 0, 0, 0), "list neighbours")
    for row in socket_.query(request):
        family, link, state, _, _ = _NDMSG.unpack_from(row)
        values = netlink.attributes(row[_NDMSG.size:])
        if (link == index and family in (socket.AF_INET, socket.AF_INET6) and state & _NUD_PERMANENT
                and _NDA_DST in values and _NDA_LLADDR in values):
            found.add(Neighbour(str(ipaddress.ip_address(values[_NDA_DST])), values[_NDA_LLADDR].hex(":")))
    return found
