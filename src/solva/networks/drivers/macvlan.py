"""macvlan networks: containers are machines on the LAN of a host's interface, each with a MAC address of its own.

Nothing of the host is between them and the LAN: no firewall of ours, no published ports, the router is the LAN's. The
kernel lets the host itself not talk to its own macvlan children; ``solva.host_access`` adds a macvlan for the host and
a route to each of them over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import links, netlink
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

MODE = "macvlan_mode"
HOST_ACCESS = "solva.host_access"
_KNOWN = frozenset({PARENT, MODE, HOST_ACCESS, "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6",
                    "com.docker.network.container_iface_prefix"})
_PASSTHRU = "passthru"


@dataclass(frozen=True, slots=True)
class MacvlanOptions:
    """``own``: no parent was named; one that leads nowhere is made. ``shim``: the host's own macvlan, "" without."""

    parent: str
    mode: str = "bridge"
    own: bool = False
    shim: str = ""


class MacvlanDriver:
    """See ``NetworkDriver``."""

    name: ClassVar[str] = "macvlan"
    traits = Traits(gateway_of_chosen=True, unpublished=True)

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parents = Parents(host)

    def parse(self, network: Network) -> DriverNetwork:
        options = network.options
        mode = options.get(MODE) or "bridge"
        if mode not in links.MACVLAN_MODES:
            raise InvalidParameter(f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver "
                                   "default")
        named = options.get(PARENT, "")
        if named == "lo":
            raise InvalidParameter("loopback interface is not a valid macvlan parent link")
        shim = ""
        if parse.boolean(options, HOST_ACCESS, False):
            if mode != "bridge":
                raise InvalidParameter(f"{HOST_ACCESS} needs macvlan_mode bridge: in mode {mode} the containers do not "
                                       "talk to others on their parent")
            shim = parent.own_name("sh", network)
        return DriverNetwork(network, MacvlanOptions(named or parent.own_name("dm", network), mode, not named, shim),
                             parse.unknown(options, _KNOWN, self.name))

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        mine, theirs = net.options, other.options
        if getattr(theirs, "parent", "") != mine.parent:
            return ""
        if not isinstance(theirs, MacvlanOptions):
            return (f"network {other.network.name} (driver {other.network.driver}) is already using parent interface "
                    f"{mine.parent}: an interface carries macvlan or ipvlan, not both")
        if mine.mode == _PASSTHRU:
            return (f"cannot use mode passthru, macvlan network {other.network.id} is already using parent interface "
                    f"{mine.parent}")
        if theirs.mode == _PASSTHRU:
            return (f"macvlan network {other.network.id} is already using parent interface {mine.parent} in mode "
                    "passthru")
        return ""

    async def create_network(self, net: DriverNetwork) -> None:
        options: MacvlanOptions = net.options
        await self._parents.hold(net.network, options.parent, own=options.own)
        try:
            if options.shim:
                await self._host.call(lambda: self._make_shim(options))
        except BaseException:
            await self._parents.release(net.network, options.parent, own=options.own)
            raise

    def _make_shim(self, options: MacvlanOptions) -> None:
        kernel = self._host.netlink
        if links.get_link(kernel, options.shim) is None:
            kernel.execute([links.add_child("macvlan", options.shim, parent=self._parents.index(options.parent),
                                            data=links.macvlan_data("bridge"))])
        link = links.get_link(kernel, options.shim)
        if link is not None:
            kernel.execute([links.set_link(link.index, up=True, alias=self._host.alias)])

    async def delete_network(self, net: DriverNetwork) -> None:
        options: MacvlanOptions = net.options
        if options.shim:
            await self._host.delete_links([options.shim])
        await self._parents.release(net.network, options.parent, own=options.own)

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        options: MacvlanOptions = net.options

        def body() -> None:
            index = self._parents.index(options.parent)
            self._host.netlink.execute([links.add_child(
                "macvlan", endpoint.ifname, parent=index, data=links.macvlan_data(options.mode),
                netns=inside.descriptor, mac=endpoint.mac)])
            try:
                self._route(options, endpoint, present=True)
            except BaseException:
                inside.netlink.execute([links.delete_link(endpoint.ifname)])
                raise

        try:
            await self._host.call(body)
        except SystemFailure as error:
            raise SystemFailure(f"failed to create the macvlan port: {error}") from error.__cause__
        closed = net.network.internal or options.own
        gateways = ["" if closed else self._gateway(net, version) for version in (4, 6)]
        return Interface(gateway4=gateways[0], gateway6=gateways[1])

    def _gateway(self, net: DriverNetwork, version: int) -> str:
        pool = net.network.pool(version)
        return pool.gateway if pool else ""

    def _route(self, options: MacvlanOptions, endpoint: Endpoint, *, present: bool) -> None:
        """The host's way to an endpoint over its own macvlan."""
        link = links.get_link(self._host.netlink, options.shim) if options.shim else None
        for address in (endpoint.ipv4, endpoint.ipv6):
            if link is None or not address:
                continue
            destination = f"{address}/{32 if ':' not in address else 128}"
            change = links.add_route if present else links.delete_route
            try:
                self._host.netlink.execute([change(destination, index=link.index)])
            except NetlinkError as error:
                if present or not netlink.gone(error):
                    raise

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        def body() -> None:
            self._route(net.options, endpoint, present=False)
            if sandbox.netns:
                namespace.remove_link(sandbox.netns, endpoint.ifname, ("macvlan",))

        await self._host.call(body)

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        def body() -> bool:
            if namespace.kind_of(sandbox.netns, endpoint.ifname) != "macvlan":
                return False
            self._route(net.options, endpoint, present=True)
            return True

        return await self._host.call(body)

    def links(self, net: DriverNetwork) -> Sequence[str]:
        options: MacvlanOptions = net.options
        shim = (options.shim,) if options.shim else ()
        return (*parent.links_of(options.parent, own=options.own), *shim)

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None
