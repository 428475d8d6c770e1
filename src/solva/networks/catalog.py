"""The networks there are: found, created, removed; records in the store, interfaces in the kernel."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import msgspec

from solva import faults, ids
from solva.api.types.network import IpamPool, NetworkCreate
from solva.clock import Clock
from solva.errors import Conflict, Forbidden, InvalidParameter, NotFound
from solva.events.bus import EventBus
from solva.kernel import links
from solva.networks.drivers.base import AllocatesNetworks, ChoosesGateway, DriverNetwork, NetworkDriver
from solva.networks.drivers.bridge import HOST_BINDING, MTU, NAME
from solva.networks.firewall.forwarding import Forwarding
from solva.networks.firewall.nftables import Firewall
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.ipam.base import PoolRequest
from solva.networks.ipam.subnets import EXHAUSTED
from solva.networks.model import Endpoint, Network, Pool, Sandbox
from solva.networks.registry import ALIASES, Registry
from solva.store.sqlite import Store

KIND = "network"
_PREDEFINED = ("bridge", "host", "none")
GATEWAY_NETWORK = "solva_gwbridge"
_DEFAULT_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    HOST_BINDING: "0.0.0.0",
    MTU: "1500",
}


class Catalog:
    """``users``: the live endpoints of a network; given by whoever keeps the sandboxes."""

    def __init__(self, host: Host, store: Store, bus: EventBus, clock: Clock, registry: Registry, firewall: Firewall,
                 forwarding: Forwarding) -> None:
        self._host = host
        self._store = store
        self._bus = bus
        self._clock = clock
        self.registry = registry
        self._firewall = firewall
        self._forwarding = forwarding
        self._networks: dict[str, DriverNetwork] = {}
        self._names: set[str] = set()      # names of networks that are being created
        self._creation = asyncio.Lock()
        self._gateway = asyncio.Lock()
        self.users: Callable[[str], list[tuple[Sandbox, Endpoint]]] = lambda _: []

    # -- found

    def driver(self, name: str) -> NetworkDriver:
        """Of a network that there is. NotFound in Docker's words."""
        return self.registry.driver(name)

    def all(self) -> list[DriverNetwork]:
        return list(self._networks.values())

    def find(self, ref: str) -> DriverNetwork:
        """By id, name, or unambiguous beginning of an id."""
        if ref == "default":
            ref = "bridge"
        if ref in self._networks:
            return self._networks[ref]
        for net in self._networks.values():
            if net.network.name == ref:
                return net
        fit = [net for key, net in self._networks.items() if ref and key.startswith(ref)]
        if len(fit) > 1:
            raise InvalidParameter(f"network {ref} is ambiguous ({len(fit)} matches found based on ID prefix)")
        if not fit:
            raise NotFound(f"network {ref} not found")
        return fit[0]

    def default_bridge(self) -> Network:
        return self.find("bridge").network

    # -- created

    async def create(self, request: NetworkCreate) -> tuple[str, str]:
        """Id and a warning. All of it or nothing."""
        name = request.name
        if not name.strip():
            raise InvalidParameter("invalid name: name is empty")
        if name in (*_PREDEFINED, "default"):
            raise Forbidden(f"operation is not permitted on predefined {name} network ")
        if name in self._names or any(net.network.name == name for net in self._networks.values()):
            raise Conflict(f"network with name {name} already exists")
        self._names.add(name)
        try:
            record = await self._create(request)
        finally:
            self._names.discard(name)
        self._publish("create", record)
        noted = [f'"{request.driver}" is a storage driver; the network has the driver "{record.driver}"'
                 ] if request.driver in ALIASES else []
        return record.id, "; ".join((*noted, *self._networks[record.id].warnings))

    async def _create(self, request: NetworkCreate) -> Network:
        request = self._inherited(request)
        driver = await self._check(request)
        record = Network(
            id=ids.new_id(), name=request.name, driver=driver.name, created_ns=self._clock.time_ns(),
            scope=driver.traits.scope,
            enable_ipv4=request.enable_ipv4 is not False, enable_ipv6=bool(request.enable_ipv6),
            internal=request.internal, attachable=request.attachable, config_only=request.config_only,
            config_from=request.config_from.network, ipam_driver=request.ipam.driver or "default",
            ipam_options=None if request.ipam.options is None else dict(request.ipam.options),
            options=dict(request.options), labels=dict(request.labels))
        if request.config_only:
            return self._keep_config(record, request)
        return await self._make(record, request.ipam.config, driver)

    async def _make(self, record: Network, config: Sequence[IpamPool], driver: NetworkDriver) -> Network:
        """All of it or nothing."""
        driver.parse(record)      # the options, before anything is taken
        async with AsyncExitStack() as undo:
            record = await self._allocate(record, config, driver, undo)      # a plugin may be slow: others go on
            net = driver.parse(record)
            async with self._creation:
                self._refuse_conflicts(driver, net)
                await self.enable_forwarding(net)
                undo.push_async_callback(driver.delete_network, net)
                await driver.create_network(net)
                faults.point("network create: made")
                undo.push_async_callback(self._firewall.set_network, record.id, None)
                await self._firewall.set_network(record.id, driver.rules(net))
                self._store.put(KIND, record.id, record)
                self._networks[record.id] = net
            undo.pop_all()
        return record

    async def _allocate(self, record: Network, config: Sequence[IpamPool], driver: NetworkDriver,
                        undo: AsyncExitStack) -> Network:
        """Address pools, and what the driver allocates."""
        ipam = self.registry.ipam(record)
        ways = await driver.wants_gateway(record) if isinstance(driver, ChoosesGateway) else (True, True)
        request = PoolRequest(record.id, record.name, config, record.ipam_options or {}, record.options,
                              record.enable_ipv4, record.enable_ipv6, driver.traits.gateway,
                              driver.traits.gateway_of_chosen and not record.internal,
                              tuple(version for version, way in zip((4, 6), ways, strict=True) if not way))
        try:
            pools = await ipam.allocate(request)
        except InvalidParameter as error:
            raise InvalidParameter(f"{error}{self._unused_hint(str(error))}") from None
        record = replace(record, pools=pools)
        undo.push_async_callback(ipam.forget, record)
        if isinstance(driver, AllocatesNetworks):
            record = await driver.allocate_network(record)
            undo.push_async_callback(driver.free_network, record)
        return record

    def _refuse_conflicts(self, driver: NetworkDriver, net: DriverNetwork) -> None:
        for other in self._networks.values():
            reason = "" if other.network.config_only else driver.conflict(net, other)
            if reason:
                raise Forbidden(reason)

    def _inherited(self, request: NetworkCreate) -> NetworkCreate:
        """``--config-from``: options, addresses and switches come from a configuration network."""
        source = request.config_from.network
        if not source:
            return request
        try:
            config = self.find(source).network
        except NotFound:
            raise NotFound(f'configuration network "{source}" does not exist') from None
        if not config.config_only:
            raise NotFound(f'configuration network "{source}" does not exist: the network of this name was made '
                           "without --config-only")
        if request.config_only:
            raise Forbidden("a configuration network cannot depend on another configuration network")
        if request.options:
            raise Forbidden("network driver options are not supported if the network depends on a configuration "
                            "network")
        if request.ipam.config or request.labels or request.enable_ipv6:
            raise Forbidden("user specified configurations are not supported if the network depends on a "
                            "configuration network")
        pools = [IpamPool(pool.subnet, pool.ip_range, pool.gateway, dict(pool.aux)) for pool in config.pools]
        return msgspec.structs.replace(
            request, enable_ipv4=config.enable_ipv4, enable_ipv6=config.enable_ipv6,
            internal=request.internal or config.internal,
            options=dict(config.options), labels=dict(config.labels),
            ipam=msgspec.structs.replace(request.ipam, config=pools))

    async def _check(self, request: NetworkCreate) -> NetworkDriver:
        if request.ingress:
            raise Forbidden("Ingress network can only be global scope network")
        if request.enable_ipv4 is False and not request.enable_ipv6 and not request.config_only:
            raise InvalidParameter("IPv4 or IPv6 must be enabled")
        driver = await self.registry.find_driver(request.driver or "bridge")
        if request.scope not in ("", driver.traits.scope):
            raise Forbidden("cannot create a swarm scoped network when swarm is not active"
                            if request.scope == "swarm" else
                            f"scope {request.scope} is not that of driver {driver.name}: {driver.traits.scope}")
        if driver.traits.single:
            raise Forbidden(f'only one instance of "{driver.name}" network is allowed')
        await self.registry.find_ipam(request.ipam.driver)
        return driver

    def _keep_config(self, record: Network, request: NetworkCreate) -> Network:
        pools = tuple(Pool(pool.subnet, pool.gateway, pool.ip_range, dict(pool.auxiliary_addresses), True,
                           bool(pool.gateway)) for pool in request.ipam.config)
        record = replace(record, pools=pools, driver="null")
        self._store.put(KIND, record.id, record)
        self._networks[record.id] = DriverNetwork(record)
        return record

    def _unused_hint(self, text: str) -> str:
        if text != EXHAUSTED:
            return ""
        idle = [net.network.name for net in self._networks.values()
                if not net.network.predefined and not self.users(net.network.id)]
        return f"; networks without a running container: {', '.join(sorted(idle)[:10])}" if idle else ""

    async def enable_forwarding(self, net: DriverNetwork) -> None:
        """Once a network of ours needs it."""
        def body() -> bool:
            ours = self.links()      # not among the guarded ones
            names = [link.name for link in links.list_links(self._host.netlink)
                     if link.name != "lo" and link.alias != self._host.alias and link.name not in ours
                     and not link.name.startswith(self._host.veth_prefix)]
            changed = net.network.enable_ipv4 and self._forwarding.enable(4, names)
            return (net.network.enable_ipv6 and self._forwarding.enable(6, names)) or changed

        if self.rules(net) is not None and await self._host.call(body):
            await self._firewall.guard(*self._forwarding.guarded)

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        """The network's part of the firewall, None without one."""
        if net.network.config_only:
            return None
        return self.driver(net.network.driver).rules(net)

    def links(self) -> set[str]:
        """Links of the host that belong to networks."""
        return {link for net in self._networks.values() if not net.network.config_only
                for link in self.driver(net.network.driver).links(net)}

    # -- removed

    async def remove(self, ref: str) -> None:
        """Forbidden while a live sandbox is on it."""
        net = self.find(ref)
        record = net.network
        if record.predefined:
            raise Forbidden(f"{record.name} is a pre-defined network and cannot be removed")
        if record.config_only and any(n.network.config_from == record.name for n in self._networks.values()):
            raise Forbidden(f'error while removing network: configuration network "{record.name}" is in use')
        self._refuse_users(record)
        await self._take_away(net, everywhere=True)

    def _refuse_users(self, record: Network) -> None:
        users = self.users(record.id)
        if users:
            rows = " ".join(f'name:"{sandbox.config.name}" id:"{endpoint.id[:12]}"' for sandbox, endpoint in users)
            raise Forbidden(f"error while removing network: network {record.name} has active endpoints ({rows})")

    async def _take_away(self, net: DriverNetwork, *, everywhere: bool) -> None:
        """``everywhere``: also where the driver keeps it for other hosts."""
        record = net.network
        del self._networks[record.id]      # nobody joins from here on
        try:
            if not record.config_only:
                driver = await self.registry.ready(record)
                if everywhere and isinstance(driver, AllocatesNetworks):
                    await driver.free_network(record)
                await self._firewall.set_network(record.id, None)
                await driver.delete_network(net)
                faults.point("network remove: gone")
                if everywhere:
                    await self.registry.ipam(record).forget(record)
        except BaseException:
            self._networks[record.id] = net
            raise
        self._store.delete(KIND, record.id)
        self._publish("destroy", record)

    def _publish(self, action: str, record: Network) -> None:
        self._bus.publish("network", action, record.id, {"name": record.name, "type": record.driver})

    # -- restored

    async def load(self) -> None:
        """Every network of the store; their subnets are taken."""
        for record in self._store.all(KIND, Network):
            if record.config_only:
                self._networks[record.id] = DriverNetwork(record)
                continue
            driver = await self.registry.expect_driver(record.driver)
            await self.registry.expect_ipam(record.ipam_driver)
            self._networks[record.id] = driver.parse(record)
            await self.registry.ipam(record).restore(record)

    async def ensure_predefined(self, bip: str) -> None:
        """bridge, host and none, in the store from the first start on."""
        have = {net.network.name for net in self._networks.values() if net.network.predefined}
        for name, driver in (("none", "null"), ("host", "host"), ("bridge", "bridge")):
            if name in have:
                continue
            record = Network(id=ids.new_id(), name=name, driver=driver, created_ns=self._clock.time_ns(),
                             predefined=True)
            config: list[IpamPool] = []
            if driver == "bridge":
                record = replace(record, options=_DEFAULT_OPTIONS | {NAME: self._host.default_bridge})
                config = bip_pool(bip)
            await self._make(record, config, self.driver(driver))

    async def gateway_network(self) -> DriverNetwork:
        """The bridge that sandboxes get as a way out when no network of theirs is one; made when first needed."""
        async with self._gateway:
            found = next((net for net in self._networks.values() if net.network.name == GATEWAY_NETWORK), None)
            if found is not None:
                return found
            record = Network(
                id=ids.new_id(), name=GATEWAY_NETWORK, driver="bridge", created_ns=self._clock.time_ns(),
                options={NAME: self._host.gateway_bridge, "com.docker.network.bridge.enable_icc": "false",
                         "com.docker.network.bridge.enable_ip_masquerade": "true"})
            record = await self._make(record, [], self.driver("bridge"))
        self._publish("create", record)
        return self._networks[record.id]

    # -- networks of other hosts

    async def adopt(self, record: Network) -> None:
        """See ``Networks.adopt_network``."""
        async with self._creation:
            if record.id in self._networks:
                return
            taken = next((n for n in self._networks.values() if n.network.name == record.name), None)
            if taken is not None:
                raise Conflict(f"network with name {record.name} already exists")
            driver = self.driver(record.driver)
            net = driver.parse(record)
            self._refuse_conflicts(driver, net)
            async with AsyncExitStack() as undo:
                await self.registry.ipam(record).restore(record)
                undo.push_async_callback(driver.delete_network, net)
                await driver.create_network(net)
                undo.push_async_callback(self._firewall.set_network, record.id, None)
                await self._firewall.set_network(record.id, driver.rules(net))
                self._store.put(KIND, record.id, record)
                self._networks[record.id] = net
                undo.pop_all()
        self._publish("create", record)

    async def drop(self, network_id: str) -> None:
        """See ``Networks.drop_network``."""
        net = self._networks.get(network_id)
        if net is not None:
            self._refuse_users(net.network)
            await self._take_away(net, everywhere=False)

def bip_pool(bip: str) -> list[IpamPool]:
    """``--bip`` as a pool: subnet and gateway of the default bridge."""
    if not bip:
        return []
    try:
        interface = ipaddress.ip_interface(bip)
    except ValueError:
        raise InvalidParameter(f"network.bip is {bip!r}; it must be an address with its prefix length") from None
    return [IpamPool(str(interface.network), "", str(interface.ip))]


def attributes(record: Network, sandbox_id: str) -> Mapping[str, str]:
    """Of a connect or disconnect event."""
    return {"container": sandbox_id, "name": record.name, "type": record.driver}
