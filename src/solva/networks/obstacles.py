"""What other programs' firewall rules would stop of a container's traffic: said when it is created and when it starts.

Their tables are read and never written; a drop there is final whatever our own accepts.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from solva.errors import NotFound, SystemFailure
from solva.events.bus import EventBus
from solva.kernel import links, sysctl
from solva.networks.catalog import Catalog
from solva.networks.firewall import foreign
from solva.networks.firewall.foreign import Obstacle
from solva.networks.firewall.matching import Packet
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.firewall.watch import RuleWatch
from solva.networks.host import Host
from solva.networks.model import Network, PortMapping, Sandbox

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Flow:
    """A kind of traffic of a network. ``what`` completes "Network X: traffic ..."."""

    what: str
    packet: Packet


def flows(rules: BridgeRules, uplink: str, ports: Sequence[PortMapping], *,
          bridged: bool) -> list[Flow]:
    """What a container on the network needs to pass. ``uplink``: the interface that leads to the outside, "" for none;
    ``bridged``: packets between two ports of a bridge pass the rules of ``forward`` too (br_netfilter). Pure."""
    found = []
    for version, subnet in ((4, rules.subnet4), (6, rules.subnet6)):
        if not subnet:
            continue
        first, second = _pair(subnet)
        if bridged:
            found.append(Flow("between its containers",
                              Packet("forward", rules.interface, rules.interface, first, second, "tcp", 80)))
        if rules.internal or not uplink:
            continue
        outside, _ = foreign.addresses(version)
        found.append(Flow("to the outside",
                          Packet("forward", rules.interface, uplink, first, outside, "tcp", 443)))
        for port in ports:
            found.append(Flow(f"from other machines to port {port.container_port}/{port.proto}",
                              Packet("forward", uplink, rules.interface, outside, first, port.proto,
                                     port.container_port, translated=True)))
    return found


def _pair(subnet: str) -> tuple[str, str]:
    network = ipaddress.ip_network(subnet)
    return str(network[2 % network.num_addresses]), str(network[3 % network.num_addresses])


def text(network: Network, whats: Sequence[str], stop: Obstacle, interface: str) -> str:
    """One sentence with cause and mend."""
    verb = "is" if stop.certain else "may be"
    return (f"Network {network.name}: traffic {', '.join(dict.fromkeys(whats))} {verb} stopped by {stop}: another "
            f"program's firewall, which Solva does not change. To let it pass: {foreign.mend(stop, interface)}")


class Obstacles:
    """``seen``: what the engine's log has been told already."""

    def __init__(self, host: Host, catalog: Catalog, watch: RuleWatch, bus: EventBus) -> None:
        self._host = host
        self._catalog = catalog
        self._watch = watch
        self._bus = bus
        self._seen: set[str] = set()

    async def find(self, networks: Sequence[str], ports: Sequence[PortMapping]) -> list[str]:
        """Sentences about what would certainly be stopped of a container on ``networks`` (names or ids)."""
        try:
            return await self._find(networks, ports)
        except SystemFailure as error:
            _log.warning("the rules of other firewalls cannot be read: %s", error)
            return []

    async def _find(self, networks: Sequence[str], ports: Sequence[PortMapping]) -> list[str]:
        judge = await self._watch.judge()
        if judge is None:
            return []
        uplinks = await self._host.call(self.uplinks)
        bridged = sysctl.read("bridge/bridge-nf-call-iptables") == "1"
        found: dict[str, None] = {}
        for ref in networks:
            try:
                net = self._catalog.find(ref)
            except NotFound:
                continue
            rules = self._catalog.rules(net)
            if rules is None:
                continue
            stops: dict[Obstacle, list[str]] = {}
            for flow in flows(rules, uplinks.get(4, ""), ports, bridged=bridged):
                stop = judge(flow.packet)
                if stop is not None and (stop.certain or stop.legacy):
                    stops.setdefault(stop, []).append(flow.what)
            for stop, whats in stops.items():
                found[text(net.network, whats, stop, rules.interface)] = None
        return list(found)

    async def report(self, sandbox: Sandbox, attributes: Mapping[str, str]) -> None:
        """A sandbox has been attached: an event and, the first time, a line in the log for each obstacle."""
        networks = [endpoint.network_id for endpoint in sandbox.endpoints]
        for sentence in await self.find(networks, sandbox.config.ports):
            self._bus.publish("network", "blocked", networks[0], {**attributes, "reason": sentence})
            if sentence not in self._seen:
                self._seen.add(sentence)
                _log.warning("%s (container %s)", sentence, sandbox.config.name)

    def uplinks(self) -> dict[int, str]:
        """The interfaces of the default routes, by IP version."""
        names = {link.index: link.name for link in links.list_links(self._host.netlink)}
        return {6 if ":" in destination else 4: names.get(index, "")
                for destination, index in links.list_routes(self._host.netlink) if destination.endswith("/0")}
