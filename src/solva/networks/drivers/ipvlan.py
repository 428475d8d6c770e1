"""ipvlan networks: containers share the MAC address of a host's interface and have addresses of their own.

Mode l2 is a switch below the interface, l3 and l3s route: then the way out is the device itself and nothing is
resolved by ARP.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import links
from solva.kernel.netlink import NetlinkError
from solva.networks import namespace
from solva.networks.drivers import options as parse
from solva.networks.drivers import parent
from solva.networks.drivers.base import DriverNetwork, Interface, Traits
from solva.networks.drivers.parent import PARENT, Parents
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.model import Endpoint, Network, Sandbox
from solva.networks.namespace import Namespace

MODE, FLAG = "ipvlan_mode", "ipvlan_flag"
_KNOWN = frozenset({PARENT, MODE, FLAG, "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6",
                    "com.docker.network.container_iface_prefix"})
MISSING = ("failed to create the ipvlan port: operation not supported: this kernel has no ipvlan (CONFIG_IPVLAN, "
           "module ipvlan); a macvlan network does the same with a MAC address for each container")


@dataclass(frozen=True, slots=True)
class IpvlanOptions:
    """``own``: no parent was named; one that leads nowhere is made."""

    parent: str
    mode: str = "l2"
    flag: str = "bridge"
    own: bool = False


class IpvlanDriver:
    """See ``NetworkDriver``."""

    name: ClassVar[str] = "ipvlan"
    traits = Traits(gateway_of_chosen=True, unpublished=True)

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parents = Parents(host)

    def parse(self, network: Network) -> DriverNetwork:
        options = network.options
        mode, flag = options.get(MODE) or "l2", options.get(FLAG) or "bridge"
        if mode not in links.IPVLAN_MODES:
            raise InvalidParameter(f"requested ipvlan mode '{mode}' is not valid, 'l2' mode is the ipvlan driver "
                                   "default")
        if flag not in links.IPVLAN_FLAGS:
            raise InvalidParameter(f"requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver "
                                   "default")
        named = options.get(PARENT, "")
        if named == "lo":
            raise InvalidParameter("loopback interface is not a valid ipvlan parent link")
        return DriverNetwork(network, IpvlanOptions(named or parent.own_name("di", network), mode, flag, not named),
                             parse.unknown(options, _KNOWN, self.name))

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        theirs = other.options
        if getattr(theirs, "parent", "") != net.options.parent:
            return ""
        if isinstance(theirs, IpvlanOptions):
            return f"network di-{other.network.id[:12]} is already using parent interface {net.options.parent}"
        return (f"network {other.network.name} (driver {other.network.driver}) is already using parent interface "
                f"{net.options.parent}: an interface carries macvlan or ipvlan, not both")

    async def create_network(self, net: DriverNetwork) -> None:
        await self._parents.hold(net.network, net.options.parent, own=net.options.own)

    async def delete_network(self, net: DriverNetwork) -> None:
        await self._parents.release(net.network, net.options.parent, own=net.options.own)

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        options: IpvlanOptions = net.options
        if endpoint.config.mac:
            raise InvalidParameter("ipvlan interfaces do not support custom mac address assignment")

        def body() -> str:
            index = self._parents.index(options.parent)
            self._host.netlink.execute([links.add_child(
                "ipvlan", endpoint.ifname, parent=index, data=links.ipvlan_data(options.mode, options.flag),
                netns=inside.descriptor)])
            link = links.get_link(inside.netlink, endpoint.ifname)
            return link.mac if link else ""

        try:
            mac = await self._host.call(body)
        except SystemFailure as error:
            cause = error.__cause__
            if isinstance(cause, NetlinkError) and cause.errno == errno.EOPNOTSUPP:
                raise SystemFailure(MISSING) from cause
            raise SystemFailure(f"failed to create the ipvlan port: {error}") from cause
        closed = net.network.internal or options.own
        if options.mode != "l2":
            return Interface(mac=mac, device_route=not closed)
        pools = [None if closed else net.network.pool(version) for version in (4, 6)]
        gateways = [pool.gateway if pool else "" for pool in pools]
        return Interface(mac=mac, gateway4=gateways[0], gateway6=gateways[1])

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        if sandbox.netns:
            await self._host.call(lambda: namespace.remove_link(sandbox.netns, endpoint.ifname, ("ipvlan",)))

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        return await self._host.call(lambda: namespace.kind_of(sandbox.netns, endpoint.ifname)) == "ipvlan"

    def links(self, net: DriverNetwork) -> Sequence[str]:
        return parent.links_of(net.options.parent, own=net.options.own)

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None
