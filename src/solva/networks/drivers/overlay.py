"""Overlay networks: one network over the engines of a cluster, by VXLAN; what all must agree on is in etcd.

Per network and host there is a namespace with a bridge and a VXLAN link (``cluster/plane.py``), made when the first
endpoint joins and removed with the last one. Tables, remote names and the host's lease are the agent's business
(``cluster/agent.py``), so that the engine's end changes nothing for what is connected. docs/design/023-overlay.md.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import ipaddress
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from solva.cluster import plane, rows, tunnel
from solva.cluster.membership import InUse, Membership
from solva.cluster.plane import Underlay
from solva.cluster.rows import EndpointRow, NetworkRow
from solva.errors import Conflict, Forbidden, InvalidParameter, SolvaError, SystemFailure, Unavailable
from solva.kernel import links, vxlan
from solva.networks.drivers import options as parse
from solva.networks.drivers.base import DriverNetwork, Interface, Networks, Traits
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.ipam.addresses import IPNetwork
from solva.networks.ipam.cluster import NO_CLUSTER, ClusterIpam
from solva.networks.model import Endpoint, Network, Sandbox
from solva.networks.namespace import Namespace

_log = logging.getLogger(__name__)
VNI = "com.docker.network.driver.overlay.vxlanid_list"
MTU = "com.docker.network.driver.mtu"
PREFIX = "com.docker.network.container_iface_prefix"
ENCRYPTED = "encrypted"
FLOOD = "solva.multicast"
_KNOWN = (VNI, MTU, PREFIX, ENCRYPTED, FLOOD)
FIRST_VNI, LAST_VNI = 4097, (1 << 24) - 1
_DEFAULT_MTU = 1500
PORT = "port"


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """``vni`` 0: to be chosen. ``mtu`` 0: what the hosts' underlay allows. ``flood``: broadcasts and multicasts go to
    all hosts of the network."""

    vni: int = 0
    mtu: int = 0
    flood: bool = False
    encrypted: bool = False


class OverlayDriver:
    """See ``NetworkDriver``. ``membership`` None: the engine is in no cluster, and what needs one says so."""

    name = "overlay"
    traits = Traits(scope="global", gateway=True)

    def __init__(self, host: Host, membership: Membership | None) -> None:
        self._host = host
        self._membership = membership
        self.ipam = ClusterIpam(membership, self._number, self._routed)
        self._networks: Networks | None = None
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._restored = self._cleared = False
        self._leaving: set[str] = set()      # networks that are being removed here
        self._refused: dict[str, str] = {}

    # -- life with the engine (``Runs``)

    async def start(self, networks: Networks) -> None:
        self._networks = networks
        if self._membership is None:
            return
        self._membership.changed = self._moved.set
        await self._membership.start()
        await self._adopt()
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def restored(self) -> None:
        """What an engine before this one has left half-way is given back."""
        cluster = self._membership
        if cluster is None or self._networks is None:
            return
        live = {endpoint.id for net in self._networks.networks(self.name)
                for _, endpoint in self._networks.endpoints(net.network.id)}
        await cluster.forget_endpoints(live)
        for network in await self._host.call(lambda: plane.networks(self._host.run)):
            if not cluster.uses(network):
                await self._host.later(lambda network=network: plane.remove(self._host.run, network))  # type: ignore[misc]
                cluster.forget(network)
        self._restored = True
        self._moved.set()

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
        if self._membership is not None:
            await self._membership.stop()

    async def _follow(self) -> None:
        """Networks made or removed on other hosts, as the store tells."""
        cluster = self.ipam.cluster
        while True:
            self._moved.clear()
            if self._restored and not self._cleared and not cluster.problem:
                self._cleared = True
                await cluster.forget_reservations()
                await cluster.forget_addresses()
            if not cluster.problem:
                await cluster.settle_debts()
            await self._adopt()
            await self._moved.wait()

    async def _adopt(self) -> None:
        cluster, networks = self.ipam.cluster, self._networks
        if networks is None or not cluster.state.known:
            return
        here = {net.network.id: net for net in networks.networks(self.name)}
        for identifier, row in list(cluster.state.networks.items()):
            if identifier in here or row.pending or identifier in self._leaving:
                continue
            try:
                await networks.adopt_network(msgspec.convert(row.record, Network))
            except (SolvaError, msgspec.ValidationError) as error:
                self._refuse(identifier, row.name, str(error))
        for identifier, net in here.items():
            if identifier not in cluster.state.networks and identifier not in self._leaving:
                try:
                    await networks.drop_network(identifier)
                except SolvaError as error:
                    self._refuse(identifier, net.network.name, str(error))

    def _refuse(self, identifier: str, name: str, why: str) -> None:
        if self._refused.get(identifier) != why:
            self._refused[identifier] = why
            _log.warning("network %s of the cluster: %s", name, why)

    # -- networks

    def parse(self, network: Network) -> DriverNetwork:
        options = network.options
        for key in options:
            if key != ENCRYPTED and difflib.get_close_matches(key.lower(), [ENCRYPTED], cutoff=0.8):
                raise InvalidParameter(f"driver overlay has no option {key}; did you mean {ENCRYPTED}?")
        encrypted = ENCRYPTED in options and (not options[ENCRYPTED] or parse.boolean(options, ENCRYPTED, False))
        mtu = parse.number(options, MTU, 0)
        if mtu and not 68 <= mtu <= 65535 - vxlan.OVERHEAD4:
            raise InvalidParameter(f"failed to parse {MTU} value: {mtu} (not an MTU)")
        vni = parse.number(options, VNI, 0)
        if VNI in options and not 0 < vni <= LAST_VNI:
            raise InvalidParameter(f"failed to parse {VNI} value: {options[VNI]} (1 to {LAST_VNI})")
        data = network.driver_data
        return DriverNetwork(network, OverlayOptions(
            vni=int(data.get("vni", vni)), mtu=int(data.get("mtu", mtu)), flood=parse.boolean(options, FLOOD, False),
            encrypted=encrypted), parse.unknown(options, _KNOWN, self.name))

    def _number(self, options: Mapping[str, str], networks: Mapping[str, NetworkRow]) -> int:
        taken = {row.vni: row.name for row in networks.values()}
        asked = parse.number(options, VNI, 0)
        if asked:
            if asked in taken:
                raise Forbidden(f"VXLAN number {asked} is that of network {taken[asked]} already")
            return asked
        return next(number for number in range(FIRST_VNI, LAST_VNI) if number not in taken)

    async def _routed(self) -> list[IPNetwork]:
        found = await self._host.call(lambda: links.list_routes(self._host.netlink))
        return [ipaddress.ip_network(destination) for destination, _ in found if not destination.endswith("/0")]

    async def allocate_network(self, record: Network) -> Network:
        cluster = self.ipam.cluster
        encrypted = self.parse(record).options.encrypted
        if encrypted and cluster.config.tunnel is None:
            raise InvalidParameter("an encrypted overlay network needs WireGuard; without the option its packets would "
                                   f"travel in plain: {cluster.config.no_tunnel}")
        row = cluster.reserved(record.id)
        if row is None:      # the user has named other address management
            subnets = tuple(pool.subnet for pool in record.pools)
            await cluster.reserve(record.id, lambda networks: NetworkRow(
                name=record.name, vni=self._number(record.options, networks), pending=True, subnets=subnets,
                host=cluster.config.host))
            row = cluster.reserved(record.id)
        if row is None:
            raise SystemFailure(f"network {record.name}: its reservation has run out; try again")
        mtu = parse.number(record.options, MTU, 0) or min(
            (host.mtu or _DEFAULT_MTU) - overhead(host.address, encrypted) for host in
            (*cluster.state.hosts.values(), cluster.host_row()))
        return replace(record, options={**record.options, VNI: str(row.vni)},
                       driver_data={"vni": str(row.vni), "mtu": str(mtu)})

    async def free_network(self, record: Network) -> None:
        cluster = self.ipam.cluster
        self._leaving.add(record.id)
        try:
            await cluster.remove(record.id)
        except InUse as error:
            users = " ".join(f'name:"{name}" id:"{endpoint[:12]}" host:"{host}"'
                             for name, endpoint, host in error.users)
            raise Forbidden(f"error while removing network: network {record.name} has active endpoints "
                            f"({users})") from None
        finally:
            self._leaving.discard(record.id)
            self._moved.set()

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        return ""

    async def create_network(self, net: DriverNetwork) -> None:
        """Known to all hosts from here on. In the kernel nothing is made before somebody joins."""
        if self._membership is None:
            return
        if self._membership.reserved(net.network.id) is not None:
            await self._membership.publish(net.network.id, self._row(net))

    def _row(self, net: DriverNetwork) -> NetworkRow:
        options: OverlayOptions = net.options
        return NetworkRow(
            name=net.network.name, vni=options.vni, mtu=options.mtu, flood=options.flood, encrypted=options.encrypted,
            subnets=tuple(pool.subnet for pool in net.network.pools), host=self.ipam.cluster.config.host,
            record=msgspec.to_builtins(net.network))

    async def delete_network(self, net: DriverNetwork) -> None:
        await self._host.later(lambda: plane.remove(self._host.run, net.network.id))
        if self._membership is not None:
            self._membership.forget(net.network.id)

    # -- endpoints

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        if self._membership is None:
            raise Unavailable(NO_CLUSTER)
        cluster, record = self._membership, net.network
        if not record.attachable:
            raise Forbidden(f"Could not attach to network {record.name}: network {record.name} not manually attachable "
                            "(create it with --attachable)")
        self._check_mtu(net, cluster)
        mac = endpoint.config.mac or derived_mac(endpoint)
        name = self._host.veth_name(endpoint.id)
        run, known = self._host.run, cluster.state.networks.get(record.id)
        usable = known is not None and not known.pending and known.encrypted == net.options.encrypted
        row = known if known is not None and usable else self._row(net)
        try:
            async with self._lock(record.id):
                if net.options.encrypted:
                    self._check_tunnel(net, cluster)
                    await cluster.tunnel(record.id, self._row(net))
                await self._host.call(lambda: self._wire(net, name, endpoint.ifname, inside.descriptor, mac))
            await cluster.register(record.id, row, endpoint.id, self._endpoint_row(endpoint, sandbox, mac))
        except BaseException:
            await self._host.call(lambda: plane.delete_port(run, record.id, name))
            await self._let_go(record.id)
            raise
        return Interface(mac=mac, needs_gateway=not record.internal, data={PORT: name})

    def _wire(self, net: DriverNetwork, name: str, inner: str, sandbox: int, mac: str) -> None:
        """Blocks. The network's part of this host if it is the first endpoint, and the endpoint's link."""
        options: OverlayOptions = net.options
        run, network = self._host.run, net.network.id
        plane.make(run, network, options.vni, options.mtu, self._underlay(net))
        with plane.open_wire(run, network) as wire:
            if wire is None:
                raise OSError(19, f"the namespace of network {net.network.name} is gone")
            if options.encrypted:
                plane.check_encrypted(wire, plane.tables(wire))
            plane.add_port(wire, name, inner=inner, sandbox=sandbox, mac=mac, mtu=options.mtu)

    def _underlay(self, net: DriverNetwork) -> Underlay:
        config = self.ipam.cluster.config
        if net.options.encrypted:
            return Underlay(rows.tunnel_address(config.host), config.port, tunnel.path(self._host.run))
        return Underlay(config.address, config.port)

    def _check_tunnel(self, net: DriverNetwork, cluster: Membership) -> None:
        if cluster.config.tunnel is None:
            raise SystemFailure(f"network {net.network.name} is encrypted, and this host cannot take part, since its "
                                f"packets are never sent in plain: {cluster.config.no_tunnel}")

    def _check_mtu(self, net: DriverNetwork, cluster: Membership) -> None:
        """Better an error now than large packets that vanish."""
        config = cluster.config
        taken = overhead(config.address, net.options.encrypted)
        room = (config.mtu or _DEFAULT_MTU) - taken
        if net.options.mtu > room:
            raise SystemFailure(
                f"network {net.network.name} has an MTU of {net.options.mtu}, and this host's link with "
                f"{config.address} takes {room} (its MTU {config.mtu} less {taken} for the outer headers): "
                f"raise the link's MTU, or create the network with -o {MTU}={room}")

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        run, network = self._host.run, net.network.id
        name = endpoint.data.get(PORT, "") or self._host.veth_name(endpoint.id)
        await self._host.call(lambda: plane.block_port(run, network, name))
        if self._membership is not None:
            await self._membership.unregister(network, endpoint.id)
        await self._host.later(lambda: plane.delete_port(run, network, name))
        await self._let_go(network)

    async def _let_go(self, network: str) -> None:
        """The network's namespace goes with the last endpoint of this host."""
        async with self._lock(network):
            if self._membership is None or self._membership.uses(network):
                return
            run = self._host.run
            if not await self._host.call(lambda: plane.ports(run, network)):
                await self._host.later(lambda: plane.remove(run, network))
                self._membership.forget(network)

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        if self._membership is None:
            return True      # an engine without its cluster: what works is left alone
        run, network, options, cluster = self._host.run, net.network.id, net.options, self._membership
        name = endpoint.data.get(PORT, "")

        def body() -> bool:
            if name not in plane.ports(run, network):
                return False
            plane.make(run, network, options.vni, options.mtu, self._underlay(net))
            return True

        try:
            if options.encrypted:
                await cluster.tunnel(network, self._row(net))
            if not await self._host.call(body):
                return False
        except (SystemFailure, Unavailable, OSError) as error:
            if not options.encrypted:
                raise
            _log.error("network %s: its packets stay where they are: %s", net.network.name, error)
        if cluster.local(endpoint.id) is None:
            cluster.keep(network, self._row(net), endpoint.id, self._endpoint_row(endpoint, sandbox, endpoint.mac))
        return True

    def _endpoint_row(self, endpoint: Endpoint, sandbox: Sandbox, mac: str) -> EndpointRow:
        return EndpointRow(
            host=self.ipam.cluster.config.host, mac=mac, sandbox=sandbox.id, name=sandbox.config.name,
            ipv4=endpoint.ipv4, ipv6=endpoint.ipv6, names=endpoint.dns_names)

    async def renamed(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        """The other hosts' names follow: now, or when etcd is back."""
        cluster = self._membership
        local = cluster.local(endpoint.id) if cluster is not None else None
        if cluster is None or local is None:
            return
        row = msgspec.structs.replace(local.row, name=sandbox.config.name, names=endpoint.dns_names)
        try:
            await cluster.update(net.network.id, endpoint.id, row)
        except (Unavailable, Conflict) as error:
            _log.warning("the new name of %s is told the other hosts later: %s", sandbox.config.name, error)

    # -- views

    def hosts(self, net: DriverNetwork) -> list[tuple[str, str]]:
        """Name and address of the hosts that have endpoints on the network."""
        if self._membership is None:
            return []
        state = self._membership.state
        found = {placed.row.host for placed in state.of_network(net.network.id)}
        return sorted((row.name or host[:12], row.address) for host, row in state.hosts.items() if host in found)

    def links(self, net: DriverNetwork) -> Sequence[str]:
        return ()

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None

    def _lock(self, network: str) -> asyncio.Lock:
        return self._locks.setdefault(network, asyncio.Lock())


def overhead(address: str, encrypted: bool = False) -> int:
    """What the outer headers take of the MTU of an underlay that an address belongs to."""
    if encrypted:
        return tunnel.overhead(address) + vxlan.OVERHEAD6
    return vxlan.OVERHEAD4 if ipaddress.ip_address(address).version == 4 else vxlan.OVERHEAD6


def derived_mac(endpoint: Endpoint) -> str:
    """02:42 and the IPv4 address, as Docker's on overlay networks: an address that another container takes over keeps
    its MAC, so that nobody has to unlearn it."""
    if endpoint.ipv4:
        return (b"\x02\x42" + ipaddress.IPv4Address(endpoint.ipv4).packed).hex(":")
    return (b"\x02\x42" + hashlib.sha256(endpoint.ipv6.encode()).digest()[:4]).hex(":")
