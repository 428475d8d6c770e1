"""Bridge networks: a Linux bridge on the host, a veth pair for every endpoint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from solva.errors import Forbidden, InvalidParameter, SystemFailure
from solva.kernel import links, netlink, sysctl
from solva.kernel.netlink import NetlinkError
from solva.networks.drivers import options as parse
from solva.networks.drivers.base import DriverNetwork, Interface, Traits
from solva.networks.firewall import ruleset
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.model import Endpoint, Network, Sandbox
from solva.networks.namespace import Namespace

_BRIDGE = "com.docker.network.bridge."
NAME = _BRIDGE + "name"
MTU = "com.docker.network.driver.mtu"
PREFIX = "com.docker.network.container_iface_prefix"
HOST_BINDING = _BRIDGE + "host_binding_ipv4"
_LINK_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,15}\Z")
_KNOWN = frozenset({
    NAME, MTU, PREFIX, HOST_BINDING, *(_BRIDGE + name for name in (
        "enable_icc", "enable_ip_masquerade", "gateway_mode_ipv4", "gateway_mode_ipv6", "inhibit_ipv4",
        "default_bridge", "trusted_host_interfaces")),
    *(f"com.docker.network.{name}" for name in ("host_ipv4", "host_ipv6", "enable_ipv4", "enable_ipv6"))})
_MODES = (ruleset.NAT, ruleset.UNPROTECTED, ruleset.ROUTED, ruleset.ISOLATED)


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """``own``: the interface is made and removed by us (a bridge that was there before is used and left)."""

    interface: str
    mtu: int = 0
    icc: bool = True
    masquerade: bool = True
    mode4: str = ruleset.NAT
    mode6: str = ruleset.NAT
    source4: str = ""
    source6: str = ""
    inhibit4: bool = False
    trusted: tuple[str, ...] = ()


class BridgeDriver:
    """See ``NetworkDriver``."""

    name: ClassVar[str] = "bridge"
    traits = Traits(gateway=True, publishes=True)

    def __init__(self, host: Host) -> None:
        self._host = host

    def parse(self, network: Network) -> DriverNetwork:
        options = network.options
        interface = options.get(NAME) or f"br-{network.id[:12]}"
        if not _LINK_NAME.match(interface) or interface in (".", ".."):
            raise InvalidParameter(f"failed to parse {NAME} value: {interface} (an interface name has at most 15 "
                                   "letters, digits, dots, dashes and underscores)")
        modes = []
        for version in (4, 6):
            key = f"{_BRIDGE}gateway_mode_ipv{version}"
            mode = options.get(key) or ruleset.NAT
            if mode not in _MODES:
                raise InvalidParameter(f"failed to parse {key} value: {mode} (unknown gateway mode {mode})")
            if mode == ruleset.ISOLATED and not network.internal:
                raise InvalidParameter("gateway mode 'isolated' can only be used for an internal network")
            modes.append(mode)
        for version in (4, 6):
            if sum((":" in pool.subnet) == (version == 6) for pool in network.pools) > 1:
                raise Forbidden("bridge driver doesn't support multiple subnets")
        parse.address(options, HOST_BINDING)
        if parse.number(options, MTU, 0) < 0:
            raise InvalidParameter(f"invalid MTU number: {options[MTU]}")
        trusted = options.get(f"{_BRIDGE}trusted_host_interfaces", "")
        return DriverNetwork(network, BridgeOptions(
            interface=interface, mtu=parse.number(options, MTU, 0),
            icc=parse.boolean(options, f"{_BRIDGE}enable_icc", True),
            masquerade=parse.boolean(options, f"{_BRIDGE}enable_ip_masquerade", True),
            mode4=modes[0], mode6=modes[1],
            source4=parse.address(options, "com.docker.network.host_ipv4"),
            source6=parse.address(options, "com.docker.network.host_ipv6"),
            inhibit4=parse.boolean(options, f"{_BRIDGE}inhibit_ipv4", False),
            trusted=tuple(filter(None, trusted.split(":")))), parse.unknown(options, _KNOWN, self.name))

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        if not isinstance(other.options, BridgeOptions):
            return ""
        mine, theirs = net.options.interface, other.options.interface
        if mine != theirs:
            return ""
        return (f"cannot create network {net.network.id} ({mine}): conflicts with network {other.network.id} "
                f"({theirs}): networks have same bridge name")

    async def create_network(self, net: DriverNetwork) -> None:
        await self._host.call(lambda: self._create(net))

    def _create(self, net: DriverNetwork) -> None:
        options: BridgeOptions = net.options
        kernel = self._host.netlink
        if not options.icc:
            self._need_bridge_filter()
        link = links.get_link(kernel, options.interface)
        fresh = link is None
        if fresh:
            # A fixed address, always the same for a network: neighbours stay right over a restart of the machine.
            mac = "02:42:" + hashlib.sha256(net.network.id.encode()).digest()[:4].hex(":")
            kernel.execute([links.add_bridge(options.interface, mac=mac, mtu=options.mtu)])
            link = links.get_link(kernel, options.interface)
        if link is None or link.kind != "bridge":
            raise SystemFailure(f"interface {options.interface} exists and is not a bridge")
        try:
            self._configure(net, link, fresh)
        except BaseException:
            if fresh:
                kernel.execute([links.delete_link(options.interface)])
            raise

    def _configure(self, net: DriverNetwork, link: links.Link, fresh: bool) -> None:
        options: BridgeOptions = net.options
        base = f"conf/{options.interface}"
        if fresh:
            sysctl.write_if_there(f"ipv6/{base}/accept_ra", "0")
            sysctl.write_if_there(f"ipv6/{base}/disable_ipv6", "0" if net.network.enable_ipv6 else "1")
        # 127.0.0.1:published leads over the bridge; what comes in with such an address is dropped by the firewall.
        sysctl.write(f"ipv4/{base}/route_localnet", "1")
        requests = [links.set_link(link.index, up=True)]
        if fresh:
            requests.append(links.set_link(link.index, alias=self._host.alias))
        for version, mode in ((4, options.mode4), (6, options.mode6)):
            pool = net.network.pool(version)
            if pool is None or not pool.gateway or (net.network.internal and mode == ruleset.ISOLATED):
                continue
            if version == 4 and options.inhibit4:
                continue
            requests.append(links.add_address(link.index, pool.gateway, int(pool.subnet.rpartition("/")[2])))
        self._host.netlink.execute(requests)

    def _need_bridge_filter(self) -> None:
        """Without it, packets between two ports of a bridge pass no rule."""
        if not sysctl.read("bridge/bridge-nf-call-iptables"):
            raise SystemFailure("enable_icc=false needs the kernel module br_netfilter, which is not loaded "
                                "(modprobe br_netfilter)")
        sysctl.write("bridge/bridge-nf-call-iptables", "1")
        sysctl.write_if_there("bridge/bridge-nf-call-ip6tables", "1")

    async def delete_network(self, net: DriverNetwork) -> None:
        name = net.options.interface
        link = await self._host.call(lambda: links.get_link(self._host.netlink, name))
        if link is not None and link.alias == self._host.alias:
            await self._host.delete_links([name])

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        options: BridgeOptions = net.options
        name = self._host.veth_name(endpoint.id)

        def body() -> None:
            kernel = self._host.netlink
            bridge = links.get_link(kernel, options.interface)
            if bridge is None:
                raise SystemFailure(f"bridge {options.interface} of network {net.network.name} is gone")
            kernel.execute([links.add_veth(name, master=bridge.index, peer=endpoint.ifname,
                                           peer_netns=inside.descriptor, peer_mac=endpoint.mac, mtu=options.mtu)])
            try:
                kernel.execute([links.set_hairpin(name)])
            except BaseException:
                kernel.execute([links.delete_link(name)])
                raise

        await self._host.call(body)
        return Interface(name, gateway4=self._gateway(net, 4), gateway6=self._gateway(net, 6))

    def _gateway(self, net: DriverNetwork, version: int) -> str:
        pool = net.network.pool(version)
        if pool is None or net.network.internal or (version == 4 and net.options.inhibit4 and not pool.gateway_given):
            return ""
        return pool.gateway

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        try:
            await self._host.call(lambda: self._host.netlink.execute([links.block_port(endpoint.link)]))
        except SystemFailure as error:
            if not (isinstance(error.__cause__, NetlinkError) and netlink.gone(error.__cause__)):
                raise

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        def body() -> bool:
            kernel = self._host.netlink
            link, bridge = links.get_link(kernel, endpoint.link), links.get_link(kernel, net.options.interface)
            if link is None or bridge is None:
                return False
            if link.master != bridge.index:
                kernel.execute([links.set_link(link.index, master=bridge.index, up=True),
                                links.set_hairpin(link.name)])
            return True

        return await self._host.call(body)

    def links(self, net: DriverNetwork) -> Sequence[str]:
        return (net.options.interface,)

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        options: BridgeOptions = net.options
        pool4, pool6 = net.network.pool(4), net.network.pool(6)
        return BridgeRules(
            interface=options.interface, subnet4=pool4.subnet if pool4 else "", subnet6=pool6.subnet if pool6 else "",
            mode4=options.mode4, mode6=options.mode6, internal=net.network.internal, icc=options.icc,
            masquerade=options.masquerade, source4=options.source4, source6=options.source6, trusted=options.trusted)
