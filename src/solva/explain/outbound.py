"""Walks that begin in a container: to a neighbour on its networks, to this host, to the world. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from solva.explain import inbound
from solva.explain.facts import Party, Place, loopback
from solva.networks.firewall import foreign, ruleset
from solva.networks.firewall.matching import Packet

if TYPE_CHECKING:
    from solva.explain.walk import Stop, Walk


def go(walk: Walk) -> None:
    """By the kind of the other end."""
    target = walk.question.target
    if target.kind == "container" and target.mode != "host":
        _to_container(walk)
    elif target.kind in ("container", "host"):
        _to_host(walk, target.address)
    elif target.kind == "address" and loopback(target.address):
        _to_itself(walk)
    else:
        _to_world(walk)


# -- another container


def _to_container(walk: Walk) -> None:
    source, target = walk.question.source, walk.question.target
    if source.name == target.name:
        walk.address = "127.0.0.1"
        walk.ok("address", f"{source} is {target}: its own loopback")
        walk.listener(source, "127.0.0.1", walk.question.port, str(source))
        return
    mine, theirs = _shared(walk, source, target)
    version = ipaddress.ip_address(walk.address).version
    walk.ok("address", f"{target} is {walk.address} on network {theirs.network} ({theirs.ifname} inside)")
    if mine.driver == "macvlan" and "private" in (mine.mode, theirs.mode):
        raise walk.fail("route", f"network {mine.network} is macvlan in private mode",
                        f"macvlan in private mode keeps the containers of network {mine.network} from each other",
                        "create the network with -o macvlan_mode=bridge")
    walk.ok("route", f"direct: {mine.address(version) or mine.ifname} and {walk.address} are on one link")
    walk.bridge(mine, party=source)
    walk.bridge(theirs, party=target)
    if mine.bridge:
        walk.ok("bridge", f"{source} and {target} are ports of {mine.bridge}")
    _neighbours(walk, mine, version)
    walk.listener(target, walk.address, walk.question.port, str(target))


def _shared(walk: Walk, source: Party, target: Party) -> tuple[Place, Place]:
    """The network they meet on; the address is set, the name step done."""
    by_network = {place.network: place for place in source.places}
    pairs = [(by_network[place.network], place) for place in target.places if place.network in by_network]
    by_address = target.address and target.asked == target.address
    if not pairs:
        raise _strangers(walk, source, target)
    if by_address:
        for mine, theirs in pairs:
            if target.address in (theirs.ipv4, theirs.ipv6):
                walk.address = target.address
                return mine, theirs
        network = next((p.network for p in target.places if target.address in (p.ipv4, p.ipv6)), "another network")
        raise walk.fail("route", f"{target.address} is {target}'s address on {network}, where {source} is not",
                        f"{source} is not on network {network}, and bridges do not pass packets to one another",
                        f"use {target}'s address on {pairs[0][1].network}: {pairs[0][1].ipv4 or pairs[0][1].ipv6}")
    resolved = target.resolved or ()
    for address in resolved:
        for mine, theirs in pairs:
            if address in (theirs.ipv4, theirs.ipv6):
                walk.ok("names", f"{source} resolves {target.asked} to {', '.join(resolved)}")
                walk.address = address
                return mine, theirs
    mine, theirs = pairs[0]
    if not any(place.named for place, _ in pairs):
        raise walk.fail("names", f"{source} cannot resolve {target.asked}: the default bridge has no name service",
                        f"{source} and {target} share the default bridge only, which has no name service",
                        f"solva network create NET && solva network connect NET {source} && "
                        f"solva network connect NET {target}")
    if resolved:
        raise walk.fail("names", f"{source} resolves {target.asked} to {', '.join(resolved)}, which is not {target}",
                        f"in {source} the name {target.asked} leads to {resolved[0]}: /etc/hosts or another alias "
                        f"hides {target}", f"see who has it: solva exec {source} cat /etc/hosts")
    if target.shares:
        raise walk.fail("names", f"{target} has no name on {theirs.network}: it is in the network of {target.shares}",
                        f"{target} shares the network of {target.shares} and is known there by that name only",
                        f"use {target.shares} in place of {target}")
    raise walk.fail("names", f"{source} cannot resolve {target.asked}",
                    f"the resolver of {source} does not answer for {target.asked}",
                    "solva network dns   (the name server's state); /etc/resolv.conf of the container must name "
                    "127.0.0.11")


def _strangers(walk: Walk, source: Party, target: Party) -> Stop:
    one = ", ".join(place.network for place in source.places) or "no network"
    other = ", ".join(place.network for place in target.places) or "no network"
    join = next((place.network for place in (*target.places, *source.places) if place.named), "NET")
    who = source if any(place.network == join for place in target.places) else target
    walk.address = target.address or next((place.ipv4 or place.ipv6 for place in target.places), "")
    return walk.fail("names" if not target.address else "route", f"{source} is on {one}; {target} is on {other}",
                    f"{source} and {target} have no network in common, and networks are kept apart",
                    f"solva network connect {join} {who}")


def _neighbours(walk: Walk, place: Place, version: int) -> None:
    rules = place.rules
    if rules is None or not walk.machine.bridged:
        walk.ok("rules", "packets between two ports of a bridge pass no rules here")
        return
    if not rules.icc and (walk.address, walk.question.proto, walk.question.port) not in place.linked:
        raise walk.fail("rules", f"network {place.network} keeps its containers apart (enable_icc=false)",
                        f"network {place.network} was created with enable_icc=false: its containers do not reach "
                        "one another",
                        "use a network without -o com.docker.network.bridge.enable_icc=false, or link them (--link) "
                        "and --expose the port")
    walk.foreign(Packet("forward", place.bridge, place.bridge, place.address(version) or walk.address, walk.address,
                        walk.question.proto, walk.question.port), place.bridge)
    walk.ok("rules", f"traffic within {place.network} is accepted")


# -- this host


def _to_itself(walk: Walk) -> None:
    source, target = walk.question.source, walk.question.target
    walk.address = target.address
    walk.ok("address", f"{target.address} in {source} is {source} itself, not the host")
    walk.listener(source, target.address, walk.question.port, str(source))


def _to_host(walk: Walk, wanted: str) -> None:
    """A port of the host: published by a container, or served by a process."""
    source, machine = walk.question.source, walk.machine
    place = _way_to_host(walk, source, wanted)
    published = inbound.published_at(machine.published, walk.address, walk.question.port, walk.question.proto)
    walk.bridge(place, party=source)
    if published is not None:
        walk.ok("rules", f"port {published.host_port} of this host leads to {published.container or 'a container'} "
                         f"({published.address}:{published.port})")
        inbound.behind(walk, published)
        return
    hidden = inbound.only_on_loopback(machine.published, walk.question.port, walk.question.proto)
    if hidden is not None:
        raise walk.fail("rules", f"published as {hidden}",
                        f"port {hidden.host_port} is published on a loopback address of the host only ({hidden}): "
                        "containers do not reach that",
                        f"publish it on all addresses (-p {hidden.host_port}:{hidden.port}), or put both containers "
                        "on one network")
    walk.foreign(Packet("input", place.bridge or place.ifname, "", place.ipv4 or place.ipv6, walk.address,
                        walk.question.proto, walk.question.port), place.bridge)
    walk.ok("rules", "Solva's rules do not touch what goes to the host itself")
    walk.listener(walk.question.target if walk.question.target.kind == "container" else
                  Party("host", "host", "this host", listeners=machine.listeners),
                  walk.address, walk.question.port, "this host")


def _way_to_host(walk: Walk, source: Party, wanted: str) -> Place:
    for place in source.places:
        if (wanted and wanted in place.host_addresses) or (not wanted and place.host_addresses):
            walk.address = wanted or place.host_addresses[0]
            walk.ok("address", f"the host is {walk.address} on network {place.network}")
            walk.ok("route", "direct: it is on the container's link")
            return place
    way = next((place for place in source.places if place.gateway), None)
    if way is None:
        raise _no_way_out(walk, source)
    walk.address = wanted or walk.machine.uplink_address or (way.host_addresses or ("",))[0]
    walk.ok("address", f"{walk.address} is an address of this host")
    walk.ok("route", f"over the gateway of network {way.network}")
    return way


# -- the world


def _to_world(walk: Walk) -> None:
    source, target, machine = walk.question.source, walk.question.target, walk.machine
    if target.resolved is not None and target.asked != target.address:
        walk.ok("names", f"{source} resolves {target.asked} to {', '.join(target.resolved)}")
    version = 6 if ":" in target.address else 4
    if not target.address and not any(place.gateway and place.ipv4 for place in source.places) and any(
            place.gateway and place.ipv6 for place in source.places):
        version = 6
    walk.address = target.address
    beyond = target.address or ("the internet" if target.kind == "internet" else "the LAN")
    link = _on_link(source, target.address)
    if link is not None:
        walk.ok("route", f"direct: {target.address} is on network {link.network}")
        walk.bridge(link, party=source)
        where = "on another host, perhaps: " if link.driver == "overlay" else ""
        walk.unknown("listener", f"{where}{target.address} is no container of this engine (--packet asks)")
        return
    way = next((place for place in source.places if place.gateway and place.address(version)), None)
    if way is None:
        raise _no_way_out(walk, source)
    walk.ok("route", f"over the gateway of network {way.network}")
    walk.bridge(way, party=source)
    if way.bridge:
        walk.ok("bridge", f"{source} is a port of {way.bridge}")
    inbound.forwarding(walk, version)
    known = machine.default_route if version == 4 else machine.default_route6
    if not machine.uplink or (target.kind == "internet" and not known):
        name = "default route" if version == 4 else "default route for IPv6"
        raise walk.fail("route", f"the host has no {name}", f"this host itself has no way out (no {name})",
                        f"ip -{version} route   (see what the host knows; then set its default route)")
    walk.table()
    outside = target.address or foreign.addresses(version)[0]
    walk.foreign(Packet("forward", way.bridge, machine.uplink, way.address(version), outside, walk.question.proto,
                        walk.question.port or 443), way.bridge)
    mode = way.rules.mode4 if way.rules and version == 4 else way.rules.mode6 if way.rules else ""
    if way.rules is None:
        walk.ok("rules", f"driver {way.driver} sends straight to its link")
    elif way.rules.masquerade and mode in (ruleset.NAT, ruleset.UNPROTECTED):
        walk.ok("rules", f"accepted, and sent with this host's address on {machine.uplink}")
    else:
        walk.unknown("rules", f"accepted, but not masqueraded: {beyond} must have a route back to "
                              f"{way.rules.subnet4 or way.rules.subnet6}")
    walk.unknown("listener", f"what {beyond} answers is not to be seen from here (--packet asks)"
                 if target.address else f"everything on this machine's side leads to {beyond}")


def _on_link(source: Party, address: str) -> Place | None:
    if not address:
        return None
    ip = ipaddress.ip_address(address)
    for place in source.places:
        for subnet in place.subnets:
            if ip in ipaddress.ip_network(subnet):
                return place
    return None


def _no_way_out(walk: Walk, source: Party) -> Stop:
    names = ", ".join(place.network for place in source.places) or "none"
    if source.places and all(place.internal for place in source.places):
        return walk.fail("route", f"{source} has no default route: its networks are internal ({names})",
                        f"all networks of {source} are internal ({names}): they lead nowhere on purpose",
                        f"solva network connect bridge {source}   (or create the network without --internal)")
    bare = next((each for each in source.places if each.driver in ("macvlan", "ipvlan") and not each.internal), None)
    if bare is not None:
        return walk.fail("route", f"network {bare.network} ({bare.driver}) was created without a gateway",
                         f"network {bare.network} has no gateway, so {source} knows no way beyond its own LAN",
                         "create it with --gateway ROUTER (the LAN's router), or: "
                         f"solva network connect bridge {source}")
    return walk.fail("route", f"{source} has no default route (networks: {names})",
                    f"no network of {source} is a way out ({names})", f"solva network connect bridge {source}")
