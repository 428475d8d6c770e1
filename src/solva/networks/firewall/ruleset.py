"""The rules of all networks as one table: who may reach whom, what is published where, what is masqueraded. Pure.

The truth table it stands for (mode ``nat``): the host reaches every port of a container; so does the same network;
another network and a machine on the LAN reach published ports only, and only at a host address they were published
at; nothing from outside reaches what is published on a loopback address. docs/design/004-networks.md tells why the
chains are as they are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from solva.networks.firewall.table import Chain, Set, Table

NAT, UNPROTECTED, ROUTED, ISOLATED = "nat", "nat-unprotected", "routed", "isolated"

_KEY = "meta l4proto . th dport"
_TRANSPORT = "meta l4proto { tcp, udp, sctp }"


@dataclass(frozen=True, slots=True)
class BridgeRules:
    """What the firewall has to know of a network. ``mode4``/``mode6`` are gateway modes."""

    interface: str
    subnet4: str = ""
    subnet6: str = ""
    mode4: str = NAT
    mode6: str = NAT
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    source4: str = ""      # SNAT to this address instead of masquerading
    source6: str = ""
    trusted: tuple[str, ...] = ()      # host interfaces from which containers are reached directly


@dataclass(frozen=True, slots=True)
class PortRule:
    """A published port. ``host_port`` 0: only opened (routed mode). ``host_ip`` of the container address's family."""

    proto: str
    host_ip: str
    host_port: int
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class LinkRule:
    """One container may call another's port on a network whose containers do not reach each other."""

    source: str
    address: str
    proto: str
    port: int


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _into(network: BridgeRules) -> Chain:
    """New connections towards the containers of a network."""
    name = f"into_{network.interface}"
    rules: list[str] = []
    if network.icc:
        rules.append(f'iifname "{network.interface}" accept')
    else:
        rules += [f"{ip} saddr . {ip} daddr . {_KEY} @linked{version} accept"
                  for subnet, ip, version in ((network.subnet4, "ip", 4), (network.subnet6, "ip6", 6)) if subnet]
    if network.internal:
        return Chain(name, (*rules, "drop"))
    if network.trusted:
        rules.append(f"iifname {{ {_quoted(network.trusted)} }} accept")
    for subnet, mode, version in ((network.subnet4, network.mode4, 4), (network.subnet6, network.mode6, 6)):
        if not subnet:
            continue
        ip = "ip" if version == 4 else "ip6"
        outside = "" if network.icc else f'iifname != "{network.interface}" '
        if mode == UNPROTECTED:
            rules.append(f"{outside}meta nfproto ipv{version} accept")
        elif mode == ROUTED:
            rules.append(outside + ("meta l4proto icmp accept" if version == 4 else "meta l4proto ipv6-icmp accept"))
            rules.append(f"{outside}{ip} daddr . {_KEY} @open{version} accept")
        else:
            rules.append(f"ct status dnat {ip} daddr . {_KEY} @open{version} accept")
    return Chain(name, (*rules, "drop"))


def _leave(network: BridgeRules, version: int) -> Chain:
    """Source addresses of what a network's containers send. A published port called from its own network must come
    back through the host, else the answer's source would be wrong."""
    mode = network.mode4 if version == 4 else network.mode6
    source = network.source4 if version == 4 else network.source6
    rules = [f'oifname "{network.interface}" ct status dnat masquerade', f'oifname "{network.interface}" return']
    if network.masquerade and not network.internal and mode in (NAT, UNPROTECTED):
        rules.append(f"snat ip{'' if version == 4 else '6'} to {source}" if source else "masquerade")
    return Chain(f"leave{version}_{network.interface}", tuple(rules))


def _ports(ports: Sequence[PortRule]) -> dict[str, dict[str, str]]:
    maps: dict[str, dict[str, str]] = {name: {} for name in ("any4", "at4", "any6", "at6", "open4", "open6", "local4")}
    for port in ports:
        version = 6 if ":" in port.address else 4
        maps[f"open{version}"][f"{port.address} . {port.proto} . {port.port}"] = ""
        if not port.host_port:
            continue
        host = ipaddress.ip_address(port.host_ip)
        target = f"{port.address} . {port.port}"
        if host.is_unspecified:
            maps[f"any{version}"][f"{port.proto} . {port.host_port}"] = target
        else:
            maps[f"at{version}"][f"{host} . {port.proto} . {port.host_port}"] = target
        if version == 4 and (host.is_unspecified or host.is_loopback):
            maps["local4"][f"{port.proto} . {port.host_port}"] = ""
    return maps


def build(name: str, networks: Sequence[BridgeRules], ports: Sequence[PortRule],
          guarded4: Sequence[str] = (), guarded6: Sequence[str] = (), links: Sequence[LinkRule] = ()) -> Table:
    """``guarded``: interfaces between which nothing was forwarded before the engine turned forwarding on."""
    maps = _ports(ports)
    linked = {version: {f"{link.source} . {link.address} . {link.proto} . {link.port}": "" for link in links
                        if (":" in link.address) == (version == 6)} for version in (4, 6)}
    rows = (
        Set("bridges", "ifname", {f'"{n.interface}"': "" for n in networks}),
        Set("guarded4", "ifname", {f'"{i}"': "" for i in guarded4}),
        Set("guarded6", "ifname", {f'"{i}"': "" for i in guarded6}),
        Set("local4", "inet_proto . inet_service", maps["local4"]),
        Set("any4", "inet_proto . inet_service : ipv4_addr . inet_service", maps["any4"]),
        Set("at4", "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service", maps["at4"]),
        Set("any6", "inet_proto . inet_service : ipv6_addr . inet_service", maps["any6"]),
        Set("at6", "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service", maps["at6"]),
        Set("open4", "ipv4_addr . inet_proto . inet_service", maps["open4"]),
        Set("open6", "ipv6_addr . inet_proto . inet_service", maps["open6"]),
        Set("linked4", "ipv4_addr . ipv4_addr . inet_proto . inet_service", linked[4]),
        Set("linked6", "ipv6_addr . ipv6_addr . inet_proto . inet_service", linked[6]),
        Set("into", "ifname : verdict", {f'"{n.interface}"': f"jump into_{n.interface}" for n in networks}),
        Set("from", "ifname : verdict", {f'"{n.interface}"': f"jump from_{n.interface}" for n in networks
                                         if n.internal}),
        Set("leave4", "ipv4_addr : verdict",
            {n.subnet4: f"jump leave4_{n.interface}" for n in networks if n.subnet4}, "interval"),
        Set("leave6", "ipv6_addr : verdict",
            {n.subnet6: f"jump leave6_{n.interface}" for n in networks if n.subnet6}, "interval"),
    )
    chains = [*_base_chains()]
    for network in networks:
        chains.append(_into(network))
        if network.internal:
            chains.append(Chain(f"from_{network.interface}", (f'oifname != "{network.interface}" drop',)))
        if network.subnet4:
            chains.append(_leave(network, 4))
        if network.subnet6:
            chains.append(_leave(network, 6))
    return Table("inet", name, {row.name: row for row in rows}, {chain.name: chain for chain in chains})


def _base_chains() -> Iterable[Chain]:
    return (
        # A loopback destination from a wire: never, for what we publish (CVE-2020-8558, moby#45610).
        Chain("guard", (f'iifname != "lo" ip daddr 127.0.0.0/8 {_KEY} @local4 drop',
                        "iifname @bridges ip daddr 127.0.0.0/8 drop",
                        "iifname @bridges ip saddr 127.0.0.0/8 drop"),
              "type filter hook prerouting priority raw"),
        # ::1 is not translated: the kernel will not send from it to another link. The relay listens there.
        Chain("publish", ("ip6 daddr ::1 return",
                          f"dnat ip to ip daddr . {_KEY} map @at4", f"dnat ip to {_KEY} map @any4",
                          f"dnat ip6 to ip6 daddr . {_KEY} map @at6", f"dnat ip6 to {_KEY} map @any6")),
        Chain("prerouting", (f"fib daddr type local {_TRANSPORT} jump publish",),
              "type nat hook prerouting priority dstnat"),
        Chain("output", (f"fib daddr type local {_TRANSPORT} jump publish",), "type nat hook output priority -100"),
        Chain("forward", ("ct state established,related accept", "iifname vmap @from", "oifname vmap @into",
                          "meta nfproto ipv4 iifname @guarded4 oifname @guarded4 drop",
                          "meta nfproto ipv6 iifname @guarded6 oifname @guarded6 drop"),
              "type filter hook forward priority filter"),
        Chain("postrouting", ("ip saddr 127.0.0.0/8 oifname @bridges masquerade",
                              "ip saddr vmap @leave4", "ip6 saddr vmap @leave6"),
              "type nat hook postrouting priority srcnat"),
    )
