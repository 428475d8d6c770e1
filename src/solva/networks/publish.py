"""Which host ports a sandbox's wishes come to, and the firewall's rules for those it has. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import replace

from solva.networks import gateway
from solva.networks.firewall import ruleset
from solva.networks.firewall.ruleset import BridgeRules, PortRule
from solva.networks.model import Endpoint, PortMapping, PublishedPort, Sandbox
from solva.networks.portmap.reserve import Claim

Rules = Callable[[str], BridgeRules | None]
"""The firewall's part of a network (id); None where nothing can be published."""


def _way(endpoints: Sequence[Endpoint], version: int, rules: Rules) -> tuple[Endpoint | None, BridgeRules | None]:
    """The endpoint whose address published ports lead to."""
    chosen = gateway.choose(endpoints, version)
    found = rules(chosen.network_id) if chosen else None
    return (chosen, found) if found else (None, None)


def claims(endpoints: Sequence[Endpoint], ports: Sequence[PortMapping], rules: Rules, binding: str,
           host_has_ipv6: bool) -> list[Claim]:
    """What to hold on the host. ``binding``: the network's address for ports without one, "" or 0.0.0.0 for all.

    A mapping that nothing leads to (internal networks only, no bridge) is left out, as Docker does.
    """
    way4, rules4 = _way(endpoints, 4, rules)
    way6, rules6 = _way(endpoints, 6, rules)
    found = []
    for mapping in ports:
        host = mapping.host_ip or (binding if binding not in ("", "0.0.0.0") else "")
        nat4 = rules4 is not None and rules4.mode4 != ruleset.ROUTED
        nat6 = rules6.mode6 != ruleset.ROUTED if rules6 is not None else nat4      # by the relay, to IPv4
        hosts = []
        if host in ("", "0.0.0.0") or (host and ":" not in host):
            hosts += [host or "0.0.0.0"] if nat4 else []
        if (not host or ":" in host) and nat6 and host_has_ipv6:
            hosts.append(host or "::")
        target = way4.ipv4 if way4 else f"[{way6.ipv6}]" if way6 else ""
        if hosts:
            found.append(Claim(mapping, tuple(hosts), f"{target}:{mapping.container_port}"))
    return found


def compare(held: Sequence[PublishedPort],
            wanted: Sequence[Claim]) -> tuple[list[PublishedPort], list[Claim], list[PublishedPort]]:
    """What is held and still wanted, what is still to be held, what is held and not wanted any more.

    A port of the system's choice stays what it is: both families of a mapping have one number."""
    left = [port for port in held if port.host_port]
    kept: list[PublishedPort] = []
    missing: list[Claim] = []
    for claim in wanted:
        mine = {host: next((port for port in left if _fits(port, claim, host)), None) for host in claim.hosts}
        found = [port for port in mine.values() if port is not None]
        for port in found:
            left.remove(port)
        kept += found
        hosts = tuple(host for host, port in mine.items() if port is None)
        if hosts and found:
            mapping = replace(claim.mapping, host_port=found[0].host_port, host_port_end=0)
            missing.append(Claim(mapping, hosts, claim.target))
        elif hosts:
            missing.append(claim)
    return kept, missing, left


def _fits(port: PublishedPort, claim: Claim, host: str) -> bool:
    mapping = claim.mapping
    last = mapping.host_port_end or mapping.host_port
    return (port.container_port == mapping.container_port and port.proto == mapping.proto and port.host_ip == host
            and (not mapping.host_port or mapping.host_port <= port.host_port <= last))


def opened(endpoints: Sequence[Endpoint], ports: Sequence[PortMapping], rules: Rules) -> list[PublishedPort]:
    """Ports that are open at the container's own address (routed mode): they have no host port."""
    found = []
    for version, anywhere in ((4, "0.0.0.0"), (6, "::")):
        _, part = _way(endpoints, version, rules)
        if part is not None and (part.mode4 if version == 4 else part.mode6) == ruleset.ROUTED:
            found += [PublishedPort(mapping.container_port, mapping.proto, anywhere, 0) for mapping in ports]
    return found


def port_rules(sandbox: Sandbox, rules: Rules) -> tuple[PortRule, ...]:
    """The firewall's rules for everything a sandbox has published."""
    ways = {version: _way(sandbox.endpoints, version, rules)[0] for version in (4, 6)}
    found = []
    for port in sandbox.ports:
        version = ipaddress.ip_address(port.host_ip).version
        way = ways[version]
        address = (way.ipv4 if version == 4 else way.ipv6) if way else ""
        if address:
            found.append(PortRule(port.proto, port.host_ip, port.host_port, address, port.container_port))
    return tuple(found)


def relayed(sandbox: Sandbox, rules: Rules) -> tuple[tuple[PublishedPort, str], ...]:
    """Ports that the relay carries, each with the address it leads to: IPv6 ones of a sandbox without IPv6, and those
    that [::1] belongs to, from which the kernel translates to nowhere."""
    way4, _ = _way(sandbox.endpoints, 4, rules)
    way6, _ = _way(sandbox.endpoints, 6, rules)
    target = way6.ipv6 if way6 is not None else way4.ipv4 if way4 is not None else ""
    return tuple((port, target) for port in sandbox.ports
                 if target and port.host_port and port.proto != "sctp" and ":" in port.host_ip
                 and (way6 is None or port.host_ip in ("::", "::1")))
