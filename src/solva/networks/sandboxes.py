"""Sandboxes: attached and detached, connected to networks and disconnected while they live."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from solva import ids
from solva.dns.state import SandboxNames
from solva.errors import Conflict, Forbidden, NotFound, SolvaError, SystemFailure
from solva.events.bus import EventBus
from solva.kernel import conntrack, netns, sysctl
from solva.kernel import files as tree
from solva.networks import catalog as catalogs
from solva.networks import files, namespace, publish, wishes
from solva.networks import names as naming
from solva.networks.catalog import Catalog
from solva.networks.drivers.base import DriverNetwork
from solva.networks.drivers.bridge import HOST_BINDING, PREFIX
from solva.networks.firewall.nftables import Firewall
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host, failure
from solva.networks.ipam.default import DefaultIpam
from solva.networks.model import DnsConfig, Endpoint, EndpointConfig, PublishedPort, Sandbox, SandboxConfig
from solva.networks.namespace import Namespace
from solva.networks.portmap.reserve import Ports
from solva.networks.stock import Stock
from solva.store.sqlite import Store

KIND = "sandbox"
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Names(Protocol):
    """The name service, as far as it is needed here (``dns/client.py``)."""

    async def start(self) -> None: ...
    async def put(self, names: SandboxNames) -> None: ...
    async def remove(self, sandbox_id: str) -> None: ...
    def known(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Services:
    """What sandboxes are made with."""

    host: Host
    store: Store
    bus: EventBus
    names: Names
    catalog: Catalog
    ipam: DefaultIpam
    firewall: Firewall
    dns: DnsConfig


class Sandboxes:
    """All live sandboxes. Operations on one sandbox go one after the other, on different ones side by side."""

    def __init__(self, services: Services) -> None:
        self._s = services
        self._all: dict[str, Sandbox] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.ports = Ports(self._holder)
        self.stock = Stock(services.host)
        services.catalog.users = self.users

    # -- found

    def get(self, sandbox_id: str) -> Sandbox | None:
        return self._all.get(sandbox_id)

    def all(self) -> list[Sandbox]:
        return list(self._all.values())

    def users(self, network_id: str) -> list[tuple[Sandbox, Endpoint]]:
        """Live endpoints of a network."""
        return [(sandbox, endpoint) for sandbox in self._all.values() for endpoint in sandbox.endpoints
                if endpoint.network_id == network_id]

    def _holder(self, sandbox_id: str) -> str:
        sandbox = self._all.get(sandbox_id)
        return f"container {sandbox.config.name} ({sandbox_id[:12]})" if sandbox else "another container"

    def rules(self, network_id: str) -> BridgeRules | None:
        """The firewall's part of a network whose driver publishes ports."""
        try:
            net = self._s.catalog.find(network_id)
        except NotFound:
            return None
        return self._s.catalog.rules(net) if self._s.catalog.driver(net.network.driver).publishes else None

    def named(self, network_id: str) -> bool:
        """Whether a network has a name service."""
        try:
            network = self._s.catalog.find(network_id).network
        except NotFound:
            return False
        return not network.is_default_bridge and self._s.catalog.driver(network.driver).addresses

    # -- attached

    async def attach(self, config: SandboxConfig) -> Sandbox:
        """All of it or nothing, also when the caller goes away in the middle."""
        return await self._whole(self._attach(config), config.id)

    async def _whole(self, work: Coroutine[Any, Any, T], sandbox_id: str) -> T:
        task = self.spawn(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self.spawn(self._abandon(task, sandbox_id))
            raise

    async def _abandon(self, task: asyncio.Task[Any], sandbox_id: str) -> None:
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            await self.detach(sandbox_id)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self) -> None:
        """Wait for everything that goes on behind the answers."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        await self.stock.settle()

    async def _attach(self, config: SandboxConfig) -> Sandbox:
        config = replace(config, dns=_merged(config.dns, self._s.dns))
        async with self._lock(config.id), AsyncExitStack() as undo:
            if config.id in self._all:
                raise Conflict(f"sandbox {config.id[:12]} exists already")
            folder = self._folder(config.id)
            sandbox = Sandbox(config.id, "", (), (), f"{folder}/hosts", f"{folder}/resolv.conf",
                              f"{folder}/hostname", config)
            if config.mode == "host":
                sandbox = replace(sandbox, endpoints=(self._plain("host"),))
            else:
                sandbox = await self._enter(sandbox, undo)
            undo.callback(tree.remove_tree, folder)
            self._write_files(sandbox, folder)
            undo.push_async_callback(self._s.names.remove, config.id)
            await self._put_names(sandbox)
            self._s.store.put(KIND, config.id, sandbox)
            self._all[config.id] = sandbox
            undo.pop_all()
        for endpoint in sandbox.endpoints:
            self._publish_event("connect", endpoint, sandbox)
        return sandbox

    def _plain(self, network: str) -> Endpoint:
        record = self._s.catalog.find(network).network
        return Endpoint(ids.new_id(), record.id, record.name, config=EndpointConfig(record.name))

    async def _enter(self, sandbox: Sandbox, undo: AsyncExitStack) -> Sandbox:
        """Namespace, endpoints, routes, ports."""
        config = sandbox.config
        path = str(self._s.host.run / "netns" / config.id)
        nets = [] if config.mode == "none" else [
            (self._s.catalog.find(wanted.network), wanted)
            for wanted in config.endpoints or (EndpointConfig("bridge"),)]
        for net, wanted in nets:
            wishes.check(net.network, wanted)
        inside = await self.stock.take()
        undo.callback(self.spawn_close, inside)
        try:
            netns.pin(inside.descriptor, path)
        except OSError as error:
            raise failure(error) from error
        undo.callback(netns.unpin, path)
        sandbox = replace(sandbox, netns=path)
        if config.mode == "none":
            sandbox = replace(sandbox, endpoints=(self._plain("none"),))
        for net, wanted in nets:
            endpoint = await self._join(sandbox, net, wanted, inside, undo)
            sandbox = replace(sandbox, endpoints=(*sandbox.endpoints, endpoint))
        if nets:
            await self._s.host.call(lambda: namespace.route(inside, sandbox.endpoints))
        sandbox = replace(sandbox, ports=await self._publish(sandbox, undo))
        self.spawn_close(inside)
        return sandbox

    def spawn_close(self, inside: Namespace) -> None:
        """Closing may wait for the kernel; the descriptor itself is let go of at once."""
        self.spawn(self._s.host.later(inside.close))

    async def _join(self, sandbox: Sandbox, net: DriverNetwork, wanted: EndpointConfig, inside: Namespace,
                    undo: AsyncExitStack) -> Endpoint:
        record = net.network
        driver = self._s.catalog.driver(record.driver)
        endpoint = Endpoint(
            id=ids.new_id(), network_id=record.id, network_name=record.name, config=wanted,
            ifname=wishes.interface_name(wanted, sandbox.endpoints, record.options.get(PREFIX) or "eth"),
            mac=wanted.mac or random_mac(),
            dns_names=naming.dns_names(sandbox.config, wanted) if self.named(record.id) else ())
        ipv4, prefix4 = self._s.ipam.take(record, 4, wanted.ipv4)
        undo.callback(self._s.ipam.release, record.id, ipv4)
        ipv6, prefix6 = self._s.ipam.take(record, 6, wanted.ipv6)
        undo.callback(self._s.ipam.release, record.id, ipv6)
        endpoint = replace(endpoint, ipv4=ipv4, prefix4=prefix4, ipv6=ipv6, prefix6=prefix6)
        interface = await driver.join(net, endpoint, inside)
        endpoint = replace(endpoint, link=interface.link, gateway4=interface.gateway4, gateway6=interface.gateway6)
        if interface.link:
            undo.callback(self.spawn_delete, [interface.link])
        await self._s.host.call(lambda: namespace.configure(inside, endpoint))
        return endpoint

    def spawn_delete(self, links: list[str]) -> None:
        self.spawn(self._s.host.delete_links(links))

    async def _publish(self, sandbox: Sandbox, undo: AsyncExitStack) -> tuple[PublishedPort, ...]:
        config = sandbox.config
        if not config.ports or config.mode != "bridge":
            return ()
        wanted = publish.claims(sandbox.endpoints, config.ports, self.rules, self._binding(sandbox), host_has_ipv6())
        try:
            rows = self.ports.reserve(config.id, wanted)
        except SystemFailure as error:
            raise SystemFailure(f"driver failed programming external connectivity on endpoint {config.name} "
                                f"({sandbox.endpoints[0].id}): {error}") from error
        undo.callback(self.ports.release, config.id)
        ports = [PublishedPort(claim.mapping.container_port, held.proto, held.host_ip, held.host_port)
                 for claim, row in zip(wanted, rows, strict=True) for held in row]
        ports += publish.opened(sandbox.endpoints, config.ports, self.rules)
        published = replace(sandbox, ports=tuple(ports))
        undo.push_async_callback(self._s.firewall.set_ports, config.id, ())
        await self._s.firewall.set_ports(config.id, publish.port_rules(published, self.rules))
        self._forget_flows(published)
        return published.ports

    def _binding(self, sandbox: Sandbox) -> str:
        return self._s.catalog.find(sandbox.endpoints[0].network_id).network.options.get(HOST_BINDING, "")

    def _forget_flows(self, sandbox: Sandbox) -> None:
        """UDP flows from before go on to where they went, until their entries are removed."""
        ports = {port.host_port for port in sandbox.ports if port.proto == "udp"}
        mine = {address for e in sandbox.endpoints for address in (e.ipv4, e.ipv6) if address}
        if ports:
            self.spawn(self._s.host.later(lambda: conntrack.forget(
                lambda flow: flow.proto == 17 and flow.port in ports and flow.reply_source not in mine)))

    # -- detached

    async def detach(self, sandbox_id: str) -> None:
        """Addresses, ports, rules and names are free when this returns. Fine when there is no such sandbox."""
        await self._whole_detach(self._detach(sandbox_id))

    async def _whole_detach(self, work: Coroutine[Any, Any, None]) -> None:
        await asyncio.shield(self.spawn(work))

    async def _detach(self, sandbox_id: str) -> None:
        async with self._lock(sandbox_id):
            sandbox = self._all.pop(sandbox_id, None)
            if sandbox is None:
                return
            problems: list[Exception] = []
            await _each(problems, self._s.firewall.set_ports(sandbox_id, ()), self._s.names.remove(sandbox_id))
            self.ports.release(sandbox_id)
            for endpoint in sandbox.endpoints:
                await _each(problems, self._leave(endpoint))
            self._s.store.delete(KIND, sandbox_id)
            tree.remove_tree(self._folder(sandbox_id))
            self._locks.pop(sandbox_id, None)
        self.spawn(self._clear(sandbox))
        for endpoint in sandbox.endpoints:
            self._publish_event("disconnect", endpoint, sandbox)
        for problem in problems:
            _log.warning("sandbox %s: %s", sandbox_id[:12], problem)

    async def _leave(self, endpoint: Endpoint) -> None:
        try:
            net = self._s.catalog.find(endpoint.network_id)
            await self._s.catalog.driver(net.network.driver).leave(net, endpoint)
        finally:
            for address in (endpoint.ipv4, endpoint.ipv6):
                self._s.ipam.release(endpoint.network_id, address)

    async def _clear(self, sandbox: Sandbox) -> None:
        """The slow part, behind the answer."""
        try:
            if sandbox.netns:
                await self._s.host.later(lambda: netns.unpin(sandbox.netns))
            await self._s.host.delete_links([endpoint.link for endpoint in sandbox.endpoints if endpoint.link])
            mine = {address for e in sandbox.endpoints for address in (e.ipv4, e.ipv6) if address}
            if sandbox.ports:
                await self._s.host.later(lambda: conntrack.forget(
                    lambda flow: flow.reply_source in mine or flow.source in mine))
        except SolvaError as error:
            _log.warning("clearing sandbox %s: %s", sandbox.id[:12], error)

    # -- connected and disconnected while it lives

    async def connect(self, sandbox_id: str, wanted: EndpointConfig) -> Sandbox:
        """One more endpoint, or nothing changed."""
        return await asyncio.shield(self.spawn(self._connect(sandbox_id, wanted)))

    async def _connect(self, sandbox_id: str, wanted: EndpointConfig) -> Sandbox:
        net = self._s.catalog.find(wanted.network)
        async with self._lock(sandbox_id), AsyncExitStack() as undo:
            before = self._live(sandbox_id)
            wishes.check_connect(before, net.network)
            wishes.check(net.network, wanted)
            inside = await self._s.host.call(lambda: namespace.open_at(before.netns))
            undo.callback(self.spawn_close, inside)
            endpoint = await self._join(before, net, wanted, inside, undo)
            after = replace(before, endpoints=(*before.endpoints, endpoint))
            undo.push_async_callback(self._settle, before, inside)
            await self._settle(after, inside)
            undo.push_async_callback(self._put_names, before)
            await self._put_names(after)
            self._update_resolv_conf(before, after)
            files.add_lines(Path(after.hosts_path), files.endpoint_lines(after.config, endpoint))
            self._keep(after)
            undo.pop_all()
        self.spawn_close(inside)
        self._publish_event("connect", endpoint, after)
        return after

    async def disconnect(self, sandbox_id: str, network: str, force: bool = False) -> Sandbox:
        """``force`` is Docker's: it only matters for sandboxes that are not there, which the caller knows."""
        return await asyncio.shield(self.spawn(self._disconnect(sandbox_id, network)))

    async def _disconnect(self, sandbox_id: str, network: str) -> Sandbox:
        net = self._s.catalog.find(network)
        async with self._lock(sandbox_id):
            before = self._live(sandbox_id)
            endpoint = next((e for e in before.endpoints if e.network_id == net.network.id), None)
            if endpoint is None:
                raise Forbidden(f"container {sandbox_id} is not connected to network {net.network.name}")
            if net.network.driver == "host":
                raise Conflict("cannot disconnect container from host network - container was created in host "
                               "network mode")
            after = replace(before, endpoints=tuple(e for e in before.endpoints if e is not endpoint))
            problems: list[Exception] = []
            await _each(problems, self._leave(endpoint))
            if endpoint.link:
                await _each(problems, self._s.host.delete_links([endpoint.link]))
            inside = await self._s.host.call(lambda: namespace.open_at(before.netns))
            try:
                await _each(problems, self._settle(after, inside), self._put_names(after))
            finally:
                self.spawn_close(inside)
            self._update_resolv_conf(before, after)
            files.drop_lines(Path(after.hosts_path), (endpoint.ipv4, endpoint.ipv6))
            self._keep(after)
        self._publish_event("disconnect", endpoint, after)
        if problems:
            raise SystemFailure("; ".join(str(problem) for problem in problems))
        return after

    async def _settle(self, sandbox: Sandbox, inside: Namespace) -> None:
        """Routes and published ports follow the endpoint that is the way out now."""
        await self._s.host.call(lambda: namespace.route(inside, sandbox.endpoints))
        await self._s.firewall.set_ports(sandbox.id, publish.port_rules(sandbox, self.rules))

    async def rename(self, sandbox_id: str, name: str) -> None:
        """The names follow; fine when the sandbox is not live."""
        async with self._lock(sandbox_id):
            before = self._all.get(sandbox_id)
            if before is None:
                return
            config = replace(before.config, name=name)
            endpoints = tuple(replace(e, dns_names=naming.dns_names(config, e.config) if e.dns_names else ())
                              for e in before.endpoints)
            after = replace(before, config=config, endpoints=endpoints)
            await self._put_names(after)
            self._keep(after)

    def _live(self, sandbox_id: str) -> Sandbox:
        sandbox = self._all.get(sandbox_id)
        if sandbox is None:
            raise Conflict(f"container {sandbox_id[:12]} is not running")
        return sandbox

    def adopt(self, sandbox: Sandbox) -> None:
        """A live sandbox of an engine before this one."""
        self._keep(sandbox)

    def _keep(self, sandbox: Sandbox) -> None:
        self._s.store.put(KIND, sandbox.id, sandbox)
        self._all[sandbox.id] = sandbox

    # -- files and names

    def _folder(self, sandbox_id: str) -> Path:
        return self._s.host.run / "sandboxes" / sandbox_id

    def resolver(self, sandbox: Sandbox, host: files.Resolver) -> str:
        """The text of its resolv.conf."""
        if sandbox.config.mode != "bridge":
            kind = "host"
        elif any(self.named(endpoint.network_id) for endpoint in sandbox.endpoints):
            kind = "internal"
        else:
            kind = "legacy"
        return files.resolv_conf(kind, host, sandbox.config.dns)

    def _write_files(self, sandbox: Sandbox, folder: Path) -> None:
        config = sandbox.config
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        gateways = [pool.gateway for pool in self._s.catalog.default_bridge().pools if pool.gateway]
        if config.mode == "host":
            hosts = files.host_mode_hosts(config, gateways)
        else:
            hosts = files.hosts(config, [e for e in sandbox.endpoints if e.ipv4 or e.ipv6], gateways,
                                self._link_lines(sandbox))
        Path(sandbox.hosts_path).write_text(hosts)
        Path(sandbox.resolv_conf_path).write_text(self.resolver(sandbox, files.host_resolver()))
        Path(sandbox.hostname_path).write_text((config.hostname or config.id[:12]) + "\n")

    def _update_resolv_conf(self, before: Sandbox, after: Sandbox) -> None:
        """Follow the networks, unless somebody has edited the file."""
        host = files.host_resolver()
        path = Path(after.resolv_conf_path)
        old, new = self.resolver(before, host), self.resolver(after, host)
        if old != new and path.read_text(errors="replace") == old:
            files.rewrite(path, new)

    def _link_lines(self, sandbox: Sandbox) -> list[str]:
        """``--link`` on the default bridge: lines of the hosts file."""
        lines = []
        for endpoint in sandbox.endpoints:
            if self.named(endpoint.network_id):
                continue
            for link in endpoint.config.links:
                target, _, alias = link.partition(":")
                found = self._by_ref(target.removeprefix("/"))
                there = next((e for e in found.endpoints if e.network_id == endpoint.network_id), None) if found \
                    else None
                if found is None or there is None:
                    raise Conflict(f"Cannot link to a non running container: /{target.removeprefix('/')} AS "
                                   f"/{sandbox.config.name}/{alias or target}")
                words = dict.fromkeys((alias or target, found.id[:12], found.config.name))
                lines += [f"{address}\t{' '.join(words)}" for address in (there.ipv4, there.ipv6) if address]
        return lines

    def _by_ref(self, ref: str) -> Sandbox | None:
        for sandbox in self._all.values():
            if sandbox.config.name == ref or (len(ref) >= 12 and sandbox.id.startswith(ref)):
                return sandbox
        return None

    async def _put_names(self, sandbox: Sandbox) -> None:
        if any(self.named(endpoint.network_id) for endpoint in sandbox.endpoints):
            await self._s.names.put(naming.sandbox_names(sandbox, files.host_resolver(), self.named))
        elif sandbox.id in self._all:
            await self._s.names.remove(sandbox.id)

    def _publish_event(self, action: str, endpoint: Endpoint, sandbox: Sandbox) -> None:
        try:
            record = self._s.catalog.find(endpoint.network_id).network
        except NotFound:
            return
        self._s.bus.publish("network", action, record.id, catalogs.attributes(record, sandbox.id))

    def _lock(self, sandbox_id: str) -> asyncio.Lock:
        return self._locks.setdefault(sandbox_id, asyncio.Lock())


async def _each(problems: list[Exception], *steps: Awaitable[None]) -> None:
    """All steps of a teardown, whatever happens to one of them."""
    for result in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(result, Exception):
            problems.append(result)


def _merged(dns: DnsConfig, defaults: DnsConfig) -> DnsConfig:
    return DnsConfig(dns.servers or defaults.servers, dns.search or defaults.search, dns.options or defaults.options)


def random_mac() -> str:
    """A locally administered unicast address."""
    value = bytearray(secrets.token_bytes(6))
    value[0] = (value[0] | 2) & 0xFE
    return value.hex(":")


def host_has_ipv6() -> bool:
    return sysctl.read("ipv6/conf/all/disable_ipv6") == "0"
