"""Walks that begin outside of containers: on this host, on the LAN, beyond. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from solva.explain.facts import Party, Place, Published, loopback, unspecified
from solva.networks.firewall import foreign, ruleset
from solva.networks.firewall.matching import Packet

if TYPE_CHECKING:
    from solva.explain.walk import Stop, Walk


def go(walk: Walk) -> None:
    """By the kinds of both ends."""
    source, target = walk.question.source, walk.question.target
    local = source.kind == "host" or (source.kind == "container" and source.mode == "host")
    if target.kind == "container" and target.mode != "host":
        if local:
            _host_to_container(walk)
        else:
            _outside_to_container(walk)
    elif target.kind in ("host", "container") or (target.kind == "address" and loopback(target.address)):
        _to_host(walk, local=local)
    elif local:
        _host_to_world(walk)
    else:
        raise walk.fail("route", f"from {source} to {target} nothing passes this machine",
                        "neither end is a container or this host", "name a container or host as one of the ends")


def takes(bound: str, address: str) -> bool:
    """Whether a socket bound to ``bound`` takes what comes to ``address``. One on :: takes IPv4 as well, unless told
    otherwise, which cannot be seen."""
    if unspecified(bound):
        return ":" in bound or ":" not in address
    return ipaddress.ip_address(bound) == ipaddress.ip_address(address)


def is_loopback(address: str) -> bool:
    return loopback(address)


def forwarding(walk: Walk, version: int) -> None:
    """The kernel passes packets on at all."""
    if not walk.machine.forwards(version):
        name = "net.ipv4.ip_forward" if version == 4 else "net.ipv6.conf.all.forwarding"
        raise walk.fail("rules", f"the kernel forwards nothing ({name} is 0)", "IP forwarding is off on this machine",
                        f"sysctl -w {name}=1")


def published_at(ports: Sequence[Published], address: str, port: int, proto: str) -> Published | None:
    """The published port that a packet to an address of this host meets."""
    for each in ports:
        if each.host_port and each.host_port == port and each.proto == proto and takes(each.host_ip, address):
            return each
    return None


def only_on_loopback(ports: Sequence[Published], port: int, proto: str) -> Published | None:
    for each in ports:
        if each.host_port and each.host_port == port and each.proto == proto and loopback(each.host_ip):
            return each
    return None


# -- from this host


def _host_to_container(walk: Walk) -> None:
    target = walk.question.target
    place = next((each for each in target.places if target.address in (each.ipv4, each.ipv6)), None) \
        if target.address else next((each for each in target.places if each.host_addresses or each.host_access), None)
    if place is None and not target.places:
        raise walk.fail("address", f"{target} is on no network", f"{target} has no network",
                        f"solva network connect NET {target}")
    if place is None or not (place.host_addresses or place.host_access):
        place = place or target.places[0]
        if place.driver in ("macvlan", "ipvlan"):
            raise walk.fail("route",
                            f"network {place.network} is {place.driver}: the kernel keeps the host from its children",
                            f"the host does not reach its own {place.driver} children (the kernel's rule)",
                            "create the network with -o solva.host_access=true, or ask from another machine")
        raise walk.fail("route", f"this host has no address on network {place.network}",
                        f"network {place.network} has no address of the host (gateway mode isolated, or no bridge)",
                        f"publish the port: recreate {target} with -p PORT:{walk.question.port or 'PORT'}")
    walk.address = target.address or place.ipv4 or place.ipv6
    walk.ok("address", f"{target} is {walk.address} on network {place.network}")
    walk.ok("route", f"direct, over {place.bridge or place.driver}")
    walk.bridge(place, party=target)
    here = (*place.host_addresses, walk.machine.uplink_address)[0]
    walk.foreign(Packet("output", "", place.bridge, here, walk.address, walk.question.proto, walk.question.port),
                 place.bridge)
    walk.ok("rules", "the host reaches every port of its containers")
    walk.listener(target, walk.address, walk.question.port, str(target))


def _to_host(walk: Walk, *, local: bool) -> None:
    """A port of this host, from itself or from outside."""
    question, machine, target = walk.question, walk.machine, walk.question.target
    walk.address = target.address or ("127.0.0.1" if local else machine.uplink_address)
    if not local and walk.address and loopback(walk.address):
        raise walk.fail("address", f"{walk.address} is every machine's own loopback",
                        f"{walk.address} seen from {question.source} is that machine itself",
                        f"use an address of this host: {machine.uplink_address or 'it has none on a network'}")
    if not walk.address:
        raise walk.fail("address", "this host has no address towards the outside",
                        "this host has no default route, and so no address that others would know",
                        "ip addr; ip route")
    walk.ok("address", f"{walk.address} is this host")
    published = published_at(machine.published, walk.address, question.port, question.proto)
    if published is not None:
        walk.ok("rules", f"published: {published} of {published.container}")
        behind(walk, published)
        return
    hidden = only_on_loopback(machine.published, question.port, question.proto)
    if hidden is not None:
        raise _loopback_only(walk, hidden)
    if not local:
        walk.foreign(Packet("input", machine.uplink, "", foreign.addresses(4)[0], walk.address, question.proto,
                            question.port), machine.uplink)
    walk.ok("rules", "Solva's rules do not touch what goes to the host itself")
    host = target if target.kind == "container" else Party("host", "host", "this host", listeners=machine.listeners)
    walk.listener(host, walk.address, question.port, "this host")


def behind(walk: Walk, port: Published) -> None:
    """The container that a port of this host leads to."""
    walk.table()
    holder = walk.machine.holders.get(port.container)
    if holder is not None:
        walk.runs(holder)
        walk.listener(holder, port.address, port.port, str(holder))
    walk.port = port.host_port


def _loopback_only(walk: Walk, port: Published) -> Stop:
    mend = (f"publish it on all addresses: -p {port.host_port}:{port.port} in place of "
            f"-p {port.host_ip}:{port.host_port}:{port.port}")
    return walk.fail("rules", f"published as {port}: on a loopback address only",
                    f"port {port.host_port} is published on {port.host_ip}, which only this host reaches", mend)


def _host_to_world(walk: Walk) -> None:
    target, machine = walk.question.target, walk.machine
    walk.address = target.address
    if not machine.default_route:
        raise walk.fail("route", "this host has no default route", "this host itself has no way out (no default route)",
                        "ip route   (see what the host knows; then set its default route)")
    walk.ok("route", f"over {machine.uplink}")
    walk.foreign(Packet("output", "", machine.uplink, machine.uplink_address, target.address or
                        foreign.addresses(4)[0], walk.question.proto, walk.question.port or 443), machine.uplink)
    walk.unknown("listener", "what answers there is not to be seen from here")


# -- from outside to a container


def _outside_to_container(walk: Walk) -> None:
    question, target, machine = walk.question, walk.question.target, walk.machine
    if target.places and all(place.internal for place in target.places):
        names = ", ".join(place.network for place in target.places)
        raise walk.fail("route", f"{target} is on internal networks only ({names})",
                        f"all networks of {target} are internal ({names}): publishing has no effect there",
                        f"solva network connect bridge {target}, and recreate it with -p for the port")
    direct = _direct(walk, target)
    if direct is not None and direct.driver in ("macvlan", "ipvlan"):
        walk.ok("route", "straight from the LAN: this machine's rules do not see it")
        walk.listener(target, walk.address, question.port, str(target))
        return
    port = _published(walk, target, direct)
    place = direct if port is None else _place_of(target, port) or target.places[0]
    assert place is not None      # without a published port there is a direct place, or the walk has ended
    inside = port.port if port is not None else question.port
    address = port.address if port is not None and port.address else place.ipv4 or place.ipv6
    if port is not None:
        version = 6 if ":" in port.host_ip else 4
        walk.address = machine.outer(version) if unspecified(port.host_ip) else port.host_ip
        if not walk.address and machine.uplink:
            raise walk.fail("address",
                            f"published as {port}; this host has no IPv{version} address on {machine.uplink}",
                            f"port {port.host_port} is published for IPv{version} only, and other machines know no "
                            f"IPv{version} address of this host", f"ip -{version} addr show {machine.uplink}")
        walk.port = port.host_port
        walk.ok("address", f"others call {_at(walk.address or port.host_ip, port.host_port)}, which leads to "
                           f"{_at(address, inside)}")
    if not machine.uplink:
        raise walk.fail("route", "this host has no interface that leads outside (no default route)",
                        "this host is on no network of other machines, as far as its routes say", "ip route")
    forwarding(walk, 6 if ":" in address else 4)
    walk.ok("route", f"in by {machine.uplink}, out by {place.bridge or place.driver}")
    walk.bridge(place, party=target)
    walk.table()
    walk.foreign(Packet("forward", machine.uplink, place.bridge, foreign.addresses(4)[0], address, question.proto,
                        inside, translated=port is not None), place.bridge)
    walk.ok("rules", "accepted" + (", destination translated" if port is not None else " without translation"))
    outer = walk.port
    walk.listener(target, address, inside, str(target))
    walk.port = outer
    if question.source.kind == "internet":
        walk.unknown("route", f"a router between here and the internet has to send port {walk.port} to this host")


def _at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _direct(walk: Walk, target: Party) -> Place | None:
    """A place that is routed to without translation."""
    for place in target.places:
        if place.driver in ("macvlan", "ipvlan"):
            walk.address = place.ipv4 or place.ipv6
            walk.ok("address", f"{target} is on the LAN itself as {walk.address} ({place.driver})")
            return place
        if place.rules is not None and place.rules.mode4 in (ruleset.ROUTED, ruleset.UNPROTECTED):
            walk.address = place.ipv4
            walk.unknown("address", f"{target} is called at {place.ipv4} itself: others need a route to "
                                    f"{place.rules.subnet4} by this host")
            return place
    return None


def _published(walk: Walk, target: Party, direct: Place | None) -> Published | None:
    """The row that serves the outside; None where the container is called directly."""
    question = walk.question
    rows = [each for each in target.published if each.proto == question.proto and each.host_port]
    wanted = [each for each in rows if question.port in (0, each.port)] or \
             [each for each in rows if each.host_port == question.port]
    if direct is not None and not wanted:
        return None
    port = question.port or "PORT"
    if not wanted:
        shown = ", ".join(str(each) for each in target.published) or "nothing"
        raise walk.fail("rules", f"{target} publishes {shown}",
                        f"port {port}/{question.proto} of {target} is not published, so only this host and its own "
                        "networks reach it",
                        f"recreate {target} with -p {port}:{port} (compose: ports: [\"{port}:{port}\"])")
    fit = [each for each in wanted if not loopback(each.host_ip)]
    if not fit:
        raise _loopback_only(walk, wanted[0])
    four = [each for each in fit if ":" not in each.host_ip]
    return (four or fit)[0]


def _place_of(target: Party, port: Published) -> Place | None:
    return next((place for place in target.places if port.address in (place.ipv4, place.ipv6)), None)
