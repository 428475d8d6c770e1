"""Networks and the sandboxes on them: the way in. What each method does is in the module named beside it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from solva.api.types.network import NetworkCreate
from solva.clock import Clock
from solva.errors import InvalidParameter, NotFound
from solva.events.bus import EventBus
from solva.kernel import links
from solva.networks import gateway, restore, views, wishes
from solva.networks.catalog import Catalog
from solva.networks.drivers.base import DriverNetwork, NetworkDriver, NoPlugins, PluginFinder, SpansHosts
from solva.networks.firewall.forwarding import Forwarding
from solva.networks.firewall.nftables import Firewall
from solva.networks.firewall.ruleset import BridgeRules, LinkRule
from solva.networks.firewall.watch import RuleWatch
from solva.networks.host import Host
from solva.networks.ipam.addresses import IPNetwork
from solva.networks.ipam.default import DefaultIpam
from solva.networks.ipam.subnets import DEFAULT_SOURCES, PoolSource, unique_local
from solva.networks.linked import link_rules
from solva.networks.model import DnsConfig, Endpoint, EndpointConfig, Network, Peer, PortMapping, Sandbox, SandboxConfig
from solva.networks.obstacles import Obstacles
from solva.networks.registry import Registry
from solva.networks.sandboxes import Names, Sandboxes, Services
from solva.store.sqlite import Store

Texts: TypeAlias = list[str]            # aliases, for a method named ``list`` hides the built-in in its class
Prefixes: TypeAlias = list[IPNetwork]
Filters: TypeAlias = dict[str, list[str]]
DriverNetworks: TypeAlias = list[DriverNetwork]
Links: TypeAlias = tuple[LinkRule, ...]
SandboxList: TypeAlias = list[Sandbox]
Hosts: TypeAlias = list[tuple[str, str]]
Users: TypeAlias = list[tuple[Sandbox, Endpoint]]


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The administrator's: the default bridge's address (``172.17.0.1/16``), pools for networks without a subnet, and
    resolvers for containers that name none. Empty means Docker's defaults."""

    bip: str = ""
    pools: tuple[PoolSource, ...] = ()
    dns: DnsConfig = field(default_factory=DnsConfig)


class NetworkService:
    """One an engine, made in the network namespace that is to be the containers' host.

    ``plugins`` finds drivers and address management that are not built in; ``extra``: drivers with collaborators of
    their own, which the engine's composition knows."""

    def __init__(self, store: Store, bus: EventBus, clock: Clock, names: Names, run: Path,
                 settings: NetworkSettings | None = None, plugins: Callable[[Host], PluginFinder] | None = None,
                 extra: Sequence[Callable[[Host], NetworkDriver]] = ()) -> None:
        settings = settings or NetworkSettings()
        self._run = run
        self._bip = settings.bip
        self._clock = clock
        self._host = Host(run)
        for folder in ("netns", "sandboxes"):
            (run / folder).mkdir(mode=0o755, parents=True, exist_ok=True)
        seed = _machine_id() + self._host.instance
        sources: Sequence[PoolSource] = (*(settings.pools or DEFAULT_SOURCES), unique_local(seed))
        ipam = DefaultIpam(sources, self._routed)
        found = plugins(self._host) if plugins is not None else NoPlugins()
        registry = Registry(self._host, ipam, found, [make(self._host) for make in extra])
        self._firewall = Firewall(self._host)
        self._forwarding = Forwarding(run / "forwarding.json")
        self._catalog = Catalog(self._host, store, bus, clock, registry, self._firewall, self._forwarding)
        self._services = Services(self._host, store, bus, names, self._catalog, self._firewall, settings.dns)
        self._sandboxes = Sandboxes(self._services)
        self._bus = bus
        self.watch = RuleWatch(self._host, self._firewall.restore, self._rules_restored)
        self._obstacles = Obstacles(self._host, self._catalog, self.watch, bus)

    async def start(self) -> None:
        """Predefined networks; the kernel made equal to the store; live sandboxes kept, with rules, ports and names
        (``restore.py``)."""
        await self._firewall.guard(*self._forwarding.guarded)
        await self._catalog.load()
        await self._catalog.registry.start(self)
        await restore.load(self._services, self._sandboxes)
        restore.sweep(self._services, self._sandboxes)
        await restore.repair(self._services, self._sandboxes)
        await self._catalog.ensure_predefined(self._bip)
        await restore.ports(self._sandboxes)
        await restore.names(self._services, self._sandboxes)
        await self._catalog.registry.restored()
        self._sandboxes.stock.fill()
        self.watch.start()

    async def stop(self) -> None:
        """The engine ends; sandboxes, rules and published ports stay."""
        await self.watch.close()
        await self._catalog.registry.stop()
        await self._sandboxes.settle()
        await self._sandboxes.stock.close()
        await self._sandboxes.relay.close()
        self._sandboxes.ports.close()
        await self._firewall.close()
        self._host.close()

    async def repair(self) -> None:
        """Make the kernel equal to what is known: after somebody has flushed the rules or removed a bridge."""
        await restore.repair(self._services, self._sandboxes)

    # -- networks (catalog.py, views.py)

    async def create(self, request: NetworkCreate) -> tuple[str, str]:
        """Id and a warning."""
        return await self._catalog.create(request)

    def get(self, ref: str) -> Network:
        """By name, id or unambiguous beginning of the id; NotFound "network X not found"."""
        return self._catalog.find(ref).network

    def drivers(self) -> Texts:
        """For /info: built in, and of the networks there are."""
        return self._catalog.registry.names()

    def list(self, filters: Filters) -> list[dict[str, Any]]:
        """API objects, newest first."""
        views.check_list_filters(filters)
        records = sorted((net.network for net in self._catalog.all()), key=lambda n: -n.created_ns)
        return [views.network(record) for record in records
                if views.listed(record, filters, self._used(record))]

    def inspect(self, ref: str, verbose: bool = False, scope: str = "") -> dict[str, Any]:
        """``verbose`` adds the services of a swarm, of which there are none."""
        record = self.get(ref)
        if scope and scope != record.scope:
            raise NotFound(f"network {ref} not found")
        shown = views.network(record, self._sandboxes.users(record.id))
        peers = self._hosts(record)
        return {**shown, "Peers": [{"Name": name, "IP": address} for name, address in peers]} if peers else shown

    async def remove(self, ref: str) -> None:
        await self._catalog.remove(ref)

    async def prune(self, filters: dict[str, Texts]) -> Texts:
        """Names of the networks removed: those that no live sandbox is on, on any host."""
        now = self._clock.time_ns()
        removed = []
        for record in [net.network for net in self._catalog.all()]:
            wanted = views.prunable(record, filters, now)
            if wanted and not record.predefined and not self._used(record):
                await self._catalog.remove(record.id)
                removed.append(record.name)
        return removed

    def _used(self, record: Network) -> bool:
        """By a live sandbox, of this host or another."""
        return bool(self._sandboxes.users(record.id) or self._hosts(record))

    def _hosts(self, record: Network) -> Hosts:
        driver = self._catalog.driver(record.driver)
        return driver.hosts(self._catalog.find(record.id)) if isinstance(driver, SpansHosts) else []

    # -- sandboxes (sandboxes.py)

    def publishes(self, network: str) -> bool:
        """Whether ports of a sandbox can be published by way of this network; NotFound."""
        record = self.get(network)
        return not record.internal and not self._catalog.driver(record.driver).traits.unpublished

    def check(self, endpoint: EndpointConfig) -> None:
        """As ``validate``, for one that is to be connected: the error does not name the network."""
        wishes.check(self.get(endpoint.network), endpoint)

    def validate(self, endpoint: EndpointConfig) -> None:
        """What can be said before a container starts: the network is there, static addresses and aliases fit it."""
        network = self.get(endpoint.network)
        try:
            wishes.check(network, endpoint)
        except InvalidParameter as error:
            raise InvalidParameter(f"invalid config for network {network.name}: {error}") from None

    async def attach(self, config: SandboxConfig) -> Sandbox:
        """All of it or nothing. Errors come without "failed to set up container networking: "."""
        if len(config.id) < 12:
            raise InvalidParameter(f"sandbox id {config.id!r} is too short")
        sandbox = await self._sandboxes.attach(config)
        if sandbox.config.mode == "bridge":
            self._sandboxes.spawn(self._obstacles.report(sandbox, {"container": sandbox.id}))
        return sandbox

    async def obstacles(self, networks: Texts, ports: Sequence[PortMapping]) -> Texts:
        """What other firewalls on this machine would stop of a container's traffic, a sentence each."""
        return await self._obstacles.find(networks, ports)

    def _rules_restored(self, who: str, seconds: float) -> None:
        table = f"inet {self._host.table}"
        self._bus.publish("network", "rules-restored", table, {
            "name": table, "by": who, "took_ms": f"{seconds * 1000:.1f}"})

    async def detach(self, sandbox_id: str) -> None:
        """Addresses, ports, rules and names are free when this returns; the kernel's slow work follows."""
        await self._sandboxes.detach(sandbox_id)

    async def connect(self, sandbox_id: str, endpoint: EndpointConfig) -> Sandbox:
        return await self._sandboxes.connect(sandbox_id, endpoint)

    async def disconnect(self, sandbox_id: str, network: str, force: bool = False) -> Sandbox:
        return await self._sandboxes.disconnect(sandbox_id, network, force)

    async def rename(self, sandbox_id: str, name: str) -> None:
        await self._sandboxes.rename(sandbox_id, name)

    def sandbox(self, sandbox_id: str) -> Sandbox | None:
        return self._sandboxes.get(sandbox_id)

    def sandbox_ids(self) -> Texts:
        """Of all live ones."""
        return [sandbox.id for sandbox in self._sandboxes.all()]

    async def release_held(self) -> None:
        """After a reboot, when all that start by themselves have: the addresses of the others are free."""
        await self._sandboxes.endpoints.release_held()

    # -- what explanations ask

    def live(self) -> SandboxList:
        return self._sandboxes.all()

    def rules(self, network_id: str) -> BridgeRules | None:
        """The firewall's part of a network."""
        return self._catalog.rules(self._catalog.find(network_id))

    def links(self) -> Links:
        """What links let through on networks whose containers do not reach each other."""
        return link_rules(self._sandboxes.all(), self._sandboxes.endpoints.rules)

    def named(self, network_id: str) -> bool:
        """Whether a network has a name service."""
        return self._sandboxes.endpoints.named(network_id)

    def way_out(self, sandbox: Sandbox, version: int) -> Endpoint | None:
        return gateway.choose(sandbox.endpoints, version)

    @property
    def table(self) -> str:
        """Name of our firewall table (family inet)."""
        return self._host.table

    # -- what drivers ask (``drivers.base.Networks``)

    def networks(self, driver: str) -> DriverNetworks:
        return [net for net in self._catalog.all() if net.network.driver == driver and not net.network.config_only]

    def endpoints(self, network_id: str) -> Users:
        return self._sandboxes.users(network_id)

    async def adopt_network(self, record: Network) -> None:
        await self._catalog.adopt(record)

    async def drop_network(self, network_id: str) -> None:
        await self._catalog.drop(network_id)
        await self._sandboxes.set_peers(network_id, ())

    async def set_peers(self, network_id: str, peers: Sequence[Peer]) -> None:
        await self._sandboxes.set_peers(network_id, peers)

    async def _routed(self) -> Prefixes:
        found = await self._host.call(lambda: links.list_routes(self._host.netlink))
        return [ipaddress.ip_network(destination) for destination, _ in found if not destination.endswith("/0")]


def _machine_id() -> str:
    for path in ("/etc/machine-id", "/proc/sys/kernel/hostname"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text:
            return text
    return ""
