"""Links, addresses and routes as netlink requests (rtnetlink), and what the kernel answers about them."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

from solva.kernel import netlink
from solva.kernel.netlink import F_CREATE, F_DUMP, F_EXCL, F_REPLACE, Netlink, NetlinkError, Request

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_IFF_UP = 1
_ADDRESS, _IFNAME, _MTU, _LINK, _MASTER, _LINKINFO, _IFALIAS, _NET_NS_FD = 1, 3, 4, 5, 10, 18, 20, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_PEER = 1
_BRPORT_STATE, _BRPORT_HAIRPIN = 1, 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_IFA_F_NODAD = 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_RT_MAIN, _RTPROT_BOOT, _RTN_UNICAST = 254, 3, 1
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel lists it. ``master``: index of the bridge it is a port of, 0 for none."""

    index: int
    name: str
    kind: str = ""
    alias: str = ""
    mac: str = ""
    mtu: int = 0
    master: int = 0
    up: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a link."""

    index: int
    address: str
    prefix: int


def mac_bytes(mac: str) -> bytes:
    """``02:42:ac:11:00:02`` as six bytes; ValueError for anything else."""
    parts = mac.replace("-", ":").split(":")
    if len(parts) != 6 or not all(len(part) == 2 for part in parts):
        raise ValueError(f"invalid MAC address {mac}")
    return bytes(int(part, 16) for part in parts)


def _info(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _IFINFO.pack(0, 0, index, flags, change)


def add_bridge(name: str, *, mac: str = "", mtu: int = 0) -> Request:
    """A bridge, up. A fixed ``mac`` keeps it from following its ports'."""
    body = [_info(0, _IFF_UP, _IFF_UP), netlink.attr_text(_IFNAME, name)]
    if mac:
        body.append(netlink.attr(_ADDRESS, mac_bytes(mac)))
    if mtu:
        body.append(netlink.attr_u32(_MTU, mtu))
    body.append(netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_KIND, b"bridge")))
    return Request(_NEWLINK, F_CREATE | F_EXCL, b"".join(body), f"create bridge {name}")


def add_link(name: str, kind: str, *, netns: int = -1) -> Request:
    """A link of a kind that needs no more than a name, down; in the namespace of an open descriptor, or here. How the
    kernel refuses says whether it knows the kind."""
    body = [_info(), netlink.attr_text(_IFNAME, name)]
    if netns >= 0:
        body.append(netlink.attr_u32(_NET_NS_FD, netns))
    body.append(netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_KIND, kind.encode())))
    return Request(_NEWLINK, F_CREATE | F_EXCL, b"".join(body), f"create {kind} link {name}")


def add_veth(name: str, *, master: int, peer: str, peer_netns: int, peer_mac: str, mtu: int = 0) -> Request:
    """A pair: ``name`` here, up, port of bridge ``master``; ``peer`` in the namespace of an open descriptor, down."""
    peer_body = [_info(), netlink.attr_text(_IFNAME, peer), netlink.attr_u32(_NET_NS_FD, peer_netns),
                 netlink.attr(_ADDRESS, mac_bytes(peer_mac))]
    body = [_info(0, _IFF_UP, _IFF_UP), netlink.attr_text(_IFNAME, name)]
    if mtu:
        peer_body.append(netlink.attr_u32(_MTU, mtu))
        body.append(netlink.attr_u32(_MTU, mtu))
    if master:
        body.append(netlink.attr_u32(_MASTER, master))
    data = netlink.attr_nest(_INFO_DATA, netlink.attr_nest(_VETH_PEER, *peer_body))
    body.append(netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_KIND, b"veth"), data))
    return Request(_NEWLINK, F_CREATE | F_EXCL, b"".join(body), f"create veth {name} with {peer}")


def add_child(kind: str, name: str, *, parent: int, data: bytes, netns: int = -1, mac: str = "",
              mtu: int = 0) -> Request:
    """A link on top of another (macvlan, ipvlan, vlan), down; in the namespace of an open descriptor, or here. ``data``
    is the kind's own: ``macvlan_data`` and its like."""
    body = [_info(), netlink.attr_text(_IFNAME, name), netlink.attr_u32(_LINK, parent)]
    if netns >= 0:
        body.append(netlink.attr_u32(_NET_NS_FD, netns))
    if mac:
        body.append(netlink.attr(_ADDRESS, mac_bytes(mac)))
    if mtu:
        body.append(netlink.attr_u32(_MTU, mtu))
    body.append(netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_KIND, kind.encode()),
                                  netlink.attr_nest(_INFO_DATA, data)))
    return Request(_NEWLINK, F_CREATE | F_EXCL, b"".join(body), f"create {kind} {name}")


MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}


def macvlan_data(mode: str) -> bytes:
    return netlink.attr_u32(1, MACVLAN_MODES[mode])


def ipvlan_data(mode: str, flag: str) -> bytes:
    return netlink.attr_u16(1, IPVLAN_MODES[mode]) + netlink.attr_u16(2, IPVLAN_FLAGS[flag])


def vlan_data(number: int) -> bytes:
    return netlink.attr_u16(1, number)


def add_dummy(name: str) -> Request:
    """A link that leads nowhere, up."""
    return Request(_NEWLINK, F_CREATE | F_EXCL, _info(0, _IFF_UP, _IFF_UP) + netlink.attr_text(_IFNAME, name)
                   + netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_KIND, b"dummy")), f"create dummy {name}")


def add_pair(name: str, peer: str) -> Request:
    """Two veth ends, both here; ``name`` is up, ``peer`` is not yet (it is made first, when it
    has no other end)."""
    peer_body = [_info(), netlink.attr_text(_IFNAME, peer)]
    data = netlink.attr_nest(_INFO_DATA, netlink.attr_nest(_VETH_PEER, *peer_body))
    return Request(_NEWLINK, F_CREATE | F_EXCL, _info(0, _IFF_UP, _IFF_UP) + netlink.attr_text(_IFNAME, name)
                   + netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_KIND, b"veth"), data), f"create veth {name}")


def set_hairpin(name: str) -> Request:
    """Let a bridge port send frames back where they came from: a container that calls its own published port."""
    return _set_port(name, netlink.attr_u8(_BRPORT_HAIRPIN, 1), f"set hairpin mode of {name}")


def block_port(name: str) -> Request:
    """A bridge port that passes nothing any more: at once, where taking the link away needs the kernel 15 ms."""
    return _set_port(name, netlink.attr_u8(_BRPORT_STATE, 0), f"block bridge port {name}")


def _set_port(name: str, data: bytes, what: str) -> Request:
    info = netlink.attr_nest(_LINKINFO, netlink.attr(_INFO_SLAVE_KIND, b"bridge"),
                             netlink.attr_nest(_INFO_SLAVE_DATA, data))
    return Request(_NEWLINK, 0, _info() + netlink.attr_text(_IFNAME, name) + info, what)


def set_link(index: int, *, up: bool | None = None, mac: str = "", mtu: int = 0, alias: str | None = None,
             master: int | None = None, name: str = "") -> Request:
    """Change a link. ``name`` renames it; ``master`` 0 takes it out of its bridge."""
    flags = _IFF_UP if up else 0
    body = [_info(index, flags, 0 if up is None else _IFF_UP)]
    if name:
        body.append(netlink.attr_text(_IFNAME, name))
    if mac:
        body.append(netlink.attr(_ADDRESS, mac_bytes(mac)))
    if mtu:
        body.append(netlink.attr_u32(_MTU, mtu))
    if alias is not None:
        body.append(netlink.attr(_IFALIAS, alias.encode()))
    if master is not None:
        body.append(netlink.attr_u32(_MASTER, master))
    return Request(_NEWLINK, 0, b"".join(body), f"set link {name or index}")


def move_link(index: int, descriptor: int, name: str) -> Request:
    """Into the namespace of an open descriptor, there as ``name``; the link goes down."""
    body = [_info(index), netlink.attr_u32(_NET_NS_FD, descriptor), netlink.attr_text(_IFNAME, name)]
    return Request(_NEWLINK, 0, b"".join(body), f"move link {index} into a namespace as {name}")


def delete_link(name: str) -> Request:
    """Remove a link; a veth takes its peer with it."""
    return Request(_DELLINK, 0, _info() + netlink.attr_text(_IFNAME, name), f"delete link {name}")


def add_address(index: int, address: str, prefix: int, *, flags: int = 0) -> Request:
    """An address with its subnet; IPv4 with a broadcast address, IPv6 without duplicate detection."""
    ip = ipaddress.ip_address(address)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    body = [_IFADDR.pack(family, prefix, 0, _SCOPE_UNIVERSE, index), netlink.attr(_IFA_LOCAL, ip.packed),
            netlink.attr(_IFA_ADDRESS, ip.packed)]
    if ip.version == 4:
        if prefix < 31:
            network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
            body.append(netlink.attr(_IFA_BROADCAST, network.broadcast_address.packed))
    else:
        flags |= _IFA_F_NODAD
    if flags:
        body.append(netlink.attr_u32(_IFA_FLAGS, flags))
    return Request(_NEWADDR, F_CREATE | F_REPLACE, b"".join(body), f"add address {address}/{prefix}")


def delete_address(index: int, address: str, prefix: int) -> Request:
    ip = ipaddress.ip_address(address)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    body = _IFADDR.pack(family, prefix, 0, _SCOPE_UNIVERSE, index) + netlink.attr(_IFA_LOCAL, ip.packed)
    return Request(_DELADDR, 0, body, f"delete address {address}/{prefix}")


def add_route(destination: str, *, index: int, gateway: str = "", version: int = 4, metric: int = 0) -> Request:
    """A route; ``destination`` "default" or CIDR; no ``gateway``: on the link. An existing one is replaced."""
    return Request(_NEWROUTE, F_CREATE | F_REPLACE, _route(destination, index, gateway, version, metric),
                   f"add route {destination} via {gateway or 'link'}")


def delete_route(destination: str, *, index: int = 0, gateway: str = "", version: int = 4, metric: int = 0) -> Request:
    """The first that fits what is named, whoever has set it."""
    return Request(_DELROUTE, 0, _route(destination, index, gateway, version, metric, found=True),
                   f"delete route {destination}")


def _route(destination: str, index: int, gateway: str, version: int, metric: int, found: bool = False) -> bytes:
    body = []
    length = 0
    if destination != "default":
        network = ipaddress.ip_network(destination)
        version, length = network.version, network.prefixlen
        body.append(netlink.attr(_RTA_DST, network.network_address.packed))
    if gateway:
        body.append(netlink.attr(_RTA_GATEWAY, ipaddress.ip_address(gateway).packed))
    if index:
        body.append(netlink.attr_u32(_RTA_OIF, index))
    if metric:
        body.append(netlink.attr_u32(_RTA_PRIORITY, metric))
    scope = _SCOPE_UNIVERSE if gateway or version == 6 else _SCOPE_LINK
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    protocol = _RTPROT_BOOT
    if found:      # the kernel compares scope and protocol, too, unless they are "any"
        scope, protocol = _SCOPE_NOWHERE, 0
    head = _RTMSG.pack(family, length, 0, 0, _RT_MAIN, protocol, scope, _RTN_UNICAST, 0)
    return head + b"".join(body)


def _parse_link(payload: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(payload)
    found = netlink.attributes(payload[_IFINFO.size:])
    info = netlink.attributes(found.get(_LINKINFO, b""))
    return Link(
        index=index, name=found[_IFNAME].rstrip(b"\0").decode(), kind=info.get(_INFO_KIND, b"").rstrip(b"\0").decode(),
        alias=found.get(_IFALIAS, b"").rstrip(b"\0").decode(errors="replace"), mac=found.get(_ADDRESS, b"").hex(":"),
        mtu=int.from_bytes(found.get(_MTU, b""), "little"), master=int.from_bytes(found.get(_MASTER, b""), "little"),
        up=bool(flags & _IFF_UP))


def get_link(socket_: Netlink, name: str) -> Link | None:
    """The link of that name, None when there is none."""
    request = Request(_GETLINK, 0, _info() + netlink.attr_text(_IFNAME, name), f"look up link {name}")
    try:
        answers = socket_.query(request)
    except NetlinkError as error:
        if netlink.gone(error):
            return None
        raise
    return _parse_link(answers[0])


def list_links(socket_: Netlink) -> list[Link]:
    return [_parse_link(row) for row in socket_.query(Request(_GETLINK, F_DUMP, _info(), "list links"))]


def list_addresses(socket_: Netlink) -> list[Address]:
    """All addresses of the namespace."""
    found = []
    for row in socket_.query(Request(_GETADDR, F_DUMP, _IFADDR.pack(0, 0, 0, 0, 0), "list addresses")):
        _, prefix, _, _, index = _IFADDR.unpack_from(row)
        values = netlink.attributes(row[_IFADDR.size:])
        packed = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
        if packed:
            found.append(Address(index, str(ipaddress.ip_address(packed)), prefix))
    return found


def list_routes(socket_: Netlink) -> list[tuple[str, int]]:
    """Destinations of the main table with the index of their link, default routes as ``0.0.0.0/0`` and ``::/0``."""
    found = []
    for row in socket_.query(Request(_GETROUTE, F_DUMP, _RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0), "list routes")):
        family, length, _, _, table, _, _, _, _ = _RTMSG.unpack_from(row)
        if table != _RT_MAIN or family not in (socket.AF_INET, socket.AF_INET6):
            continue
        values = netlink.attributes(row[_RTMSG.size:])
        zero = b"\0" * (4 if family == socket.AF_INET else 16)
        index = int.from_bytes(values.get(_RTA_OIF, b""), "little")
        found.append((f"{ipaddress.ip_address(values.get(_RTA_DST, zero))}/{length}", index))
    return found
