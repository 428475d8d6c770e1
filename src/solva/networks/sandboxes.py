"""Sandboxes: attached and detached, connected to networks and disconnected while they live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from solva import faults, ids
from solva.dns.state import SandboxNames, peers_id
from solva.errors import Conflict, Forbidden, NotFound, SolvaError, SystemFailure
from solva.events.bus import EventBus
from solva.kernel import conntrack, netns, sysctl
from solva.kernel import files as tree
from solva.networks import catalog as catalogs
from solva.networks import files, gateway, namespace, publish, wishes
from solva.networks import names as naming
from solva.networks.catalog import Catalog
from solva.networks.drivers.bridge import HOST_BINDING
from solva.networks.endpoints import Endpoints
from solva.networks.firewall.nftables import Firewall
from solva.networks.host import Host, failure
from solva.networks.linked import link_rules
from solva.networks.model import DnsConfig, Endpoint, EndpointConfig, Peer, PublishedPort, Sandbox, SandboxConfig
from solva.networks.namespace import Namespace
from solva.networks.portmap.relay import Carried, Relay
from solva.networks.portmap.reserve import Claim, Ports
from solva.networks.sandboxfiles import SandboxFiles
from solva.networks.stock import Stock
from solva.store.sqlite import Store

KIND = "sandbox"
CHANGE = "sandbox-change"
"""Sandboxes that are being connected or disconnected: an engine that finds one looks closely at what is in it."""
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
    firewall: Firewall
    dns: DnsConfig


class Sandboxes:
    """All live sandboxes. Operations on one sandbox go one after the other, on different ones side by side."""

    def __init__(self, services: Services) -> None:
        self._s = services
        self._all: dict[str, Sandbox] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unpinning: dict[str, asyncio.Task[None]] = {}
        self.ports = Ports(self._holder)
        self.relay = Relay(services.host.run / "relay.sock")
        self.stock = Stock(services.host)
        self.endpoints = Endpoints(services.host, services.catalog, services.store, self.spawn_delete)
        self.files = SandboxFiles(self.endpoints.named, services.catalog.default_bridge, self._by_ref)
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
            kept = self._all.get(config.id)
            if kept is not None and kept.config == config:
                return kept
            folder = self._folder(config.id)
            sandbox = Sandbox(config.id, await self._vacate(kept) if kept else "", (), (), f"{folder}/hosts",
                              f"{folder}/resolv.conf", f"{folder}/hostname", config)
            if config.mode == "host":
                sandbox = replace(sandbox, endpoints=(self._plain("host"),))
            else:
                sandbox = await self._enter(sandbox, undo)
            if kept is None:
                undo.callback(tree.remove_tree, folder)
            self.files.write(sandbox, folder)
            faults.point("attach: files")
            undo.push_async_callback(self._s.names.remove, config.id)
            await self._put_names(sandbox)
            faults.point("attach: names")
            self.files.relink(sandbox, [other for other in self._all.values() if other.id != sandbox.id])
            self._keep(sandbox)
            if kept is None:
                undo.callback(self._forget, sandbox.id)
            await self._link()
            undo.pop_all()
        for endpoint in sandbox.endpoints:
            self._publish_event("connect", endpoint, sandbox)
        return sandbox

    def _plain(self, network: str) -> Endpoint:
        record = self._s.catalog.find(network).network
        return Endpoint(ids.new_id(), record.id, record.name, config=EndpointConfig(record.name))

    async def _vacate(self, kept: Sandbox) -> str:
        """A sandbox that was kept for others, and comes back with other wishes: what is left is its namespace, whose
        path this is."""
        problems: list[Exception] = []
        await _each(problems, self._s.firewall.set_ports(kept.id, ()), self._unpublish(kept),
                    self.relay.drop(f"{kept.id}|"))
        self.ports.release(kept.id)
        for endpoint in kept.endpoints:
            await _each(problems, self.endpoints.leave(endpoint, kept))
        await self._s.host.delete_links([endpoint.link for endpoint in kept.endpoints if endpoint.link])
        for problem in problems:
            _log.warning("sandbox %s: %s", kept.id[:12], problem)
        self._keep(replace(kept, endpoints=(), ports=()))
        return kept.netns

    async def _enter(self, sandbox: Sandbox, undo: AsyncExitStack) -> Sandbox:
        """Namespace, endpoints, routes, ports."""
        config = sandbox.config
        path = str(self._s.host.run / "netns" / config.id)
        nets = [] if config.mode == "none" else [
            (self._s.catalog.find(wanted.network), wanted)
            for wanted in config.endpoints or (EndpointConfig("bridge"),)]
        for net, wanted in nets:
            wishes.check(net.network, wanted)
            wishes.check_kind(net.network, alone=len(nets) == 1)
        if sandbox.netns:
            inside = await self._s.host.call(lambda: namespace.open_at(path))
            undo.callback(self.spawn_close, inside)
        else:
            inside = await self.stock.take()
            undo.callback(self.spawn_close, inside)
            before = self._unpinning.get(config.id)
            if before is not None:      # its last namespace is still at this path
                await asyncio.wait([before])
            try:
                netns.pin(inside.descriptor, path)
            except OSError as error:
                raise failure(error) from error
            undo.callback(netns.unpin, path)
        faults.point("attach: pinned")
        sandbox = replace(sandbox, netns=path)
        if config.mode == "none":
            sandbox = replace(sandbox, endpoints=(self._plain("none"),))
        for net, wanted in nets:
            endpoint = await self.endpoints.join(sandbox, net, wanted, inside, undo)
            sandbox = replace(sandbox, endpoints=(*sandbox.endpoints, endpoint))
        if nets:
            sandbox = await self._with_gateway(sandbox, inside, undo)
            await self._s.host.call(lambda: namespace.route(inside, sandbox.endpoints))
            sandbox = await self._publish(sandbox, undo)
        self.spawn_close(inside)
        return sandbox

    def spawn_close(self, inside: Namespace) -> None:
        """Closing may wait for the kernel; the descriptor itself is let go of at once."""
        self.spawn(self._s.host.later(inside.close))

    def spawn_delete(self, links: list[str]) -> None:
        self.spawn(self._s.host.delete_links(links))

    async def _with_gateway(self, sandbox: Sandbox, inside: Namespace, undo: AsyncExitStack) -> Sandbox:
        """The sandbox, on the gateway network if it has no other way out and wants one."""
        if not gateway.wanted(sandbox.endpoints) or any(endpoint.is_gateway for endpoint in sandbox.endpoints):
            return sandbox
        net = await self._s.catalog.gateway_network()
        endpoint = await self.endpoints.join(sandbox, net, EndpointConfig(net.network.name), inside, undo,
                                             is_gateway=True)
        return replace(sandbox, endpoints=(*sandbox.endpoints, endpoint))

    # -- published ports

    def _claims(self, sandbox: Sandbox) -> list[Claim]:
        if sandbox.config.mode != "bridge":
            return []
        return publish.claims(sandbox.endpoints, sandbox.config.ports, self.endpoints.rules, self._binding(sandbox),
                              host_has_ipv6())

    async def _publish(self, sandbox: Sandbox, undo: AsyncExitStack) -> Sandbox:
        """Hold what is to be published and not held yet, let go of what leads nowhere now, rules for the rest."""
        kept, missing, gone = publish.compare(sandbox.ports, self._claims(sandbox))
        opened = publish.opened(sandbox.endpoints, sandbox.config.ports, self.endpoints.rules)
        ports = [*kept, *self._reserve(sandbox, missing, undo), *opened]
        after = replace(sandbox, ports=tuple(ports))
        if ports or sandbox.ports:
            undo.push_async_callback(self._s.firewall.set_ports, sandbox.id,
                                     publish.port_rules(sandbox, self.endpoints.rules))
            await self._s.firewall.set_ports(sandbox.id, publish.port_rules(after, self.endpoints.rules))
            faults.point("publish: rules")
            self._forget_flows(after)
        undo.push_async_callback(self.relay_again, sandbox)
        await self.relay_again(after)
        self.ports.release(sandbox.id, [port for port in gone if port.host_port])
        way = gateway.choose(after.endpoints, 4) or gateway.choose(after.endpoints, 6)
        shown = await self.endpoints.publish(way, after)
        if way is not None:
            undo.push_async_callback(self.endpoints.unpublish, way, after)
        return replace(after, ports=(*after.ports, *shown))

    async def relay_again(self, sandbox: Sandbox) -> None:
        """What the kernel cannot translate."""
        sockets = self.ports.sockets(sandbox.id)
        wanted = {}
        for port, address in publish.relayed(sandbox, self.endpoints.rules):
            held = sockets.get((port.proto, port.host_ip, port.host_port))
            if held is not None:
                key = f"{sandbox.id}|{port.proto}|{port.host_ip}|{port.host_port}"
                wanted[key] = Carried(held, port.proto, (address, port.container_port))
        await self.relay.drop(f"{sandbox.id}|", wanted)
        self.relay.carry(wanted)

    def _reserve(self, sandbox: Sandbox, missing: Sequence[Claim], undo: AsyncExitStack) -> list[PublishedPort]:
        if not missing:
            return []
        try:
            rows = self.ports.reserve(sandbox.id, missing)
        except SystemFailure as error:
            way = gateway.choose(sandbox.endpoints, 4) or gateway.choose(sandbox.endpoints, 6) or sandbox.endpoints[0]
            raise SystemFailure(f"driver failed programming external connectivity on endpoint {sandbox.config.name} "
                                f"({way.id}): {error}") from error
        found = [PublishedPort(claim.mapping.container_port, held.proto, held.host_ip, held.host_port)
                 for claim, row in zip(missing, rows, strict=True) for held in row]
        undo.callback(self.ports.release, sandbox.id, found)
        return found

    def _binding(self, sandbox: Sandbox) -> str:
        way = gateway.choose(sandbox.endpoints, 4) or gateway.choose(sandbox.endpoints, 6)
        return self._s.catalog.find(way.network_id).network.options.get(HOST_BINDING, "") if way else ""

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
            await _each(problems, self._s.firewall.set_ports(sandbox_id, ()), self._s.names.remove(sandbox_id),
                        self._unpublish(sandbox), self.relay.drop(f"{sandbox_id}|"), self._link())
            self.ports.release(sandbox_id)
            faults.point("detach: ports")
            for endpoint in sandbox.endpoints:
                await _each(problems, self.endpoints.leave(endpoint, sandbox))
            faults.point("detach: left")
            self._s.store.delete(KIND, sandbox_id)
            tree.remove_tree(self._folder(sandbox_id))
            self._locks.pop(sandbox_id, None)
        if sandbox.netns:
            self._unpinning[sandbox_id] = self.spawn(self._s.host.later(lambda: netns.unpin(sandbox.netns)))
        self.spawn(self._clear(sandbox))
        for endpoint in sandbox.endpoints:
            self._publish_event("disconnect", endpoint, sandbox)
        for problem in problems:
            _log.warning("sandbox %s: %s", sandbox_id[:12], problem)

    async def _unpublish(self, sandbox: Sandbox) -> None:
        way = gateway.choose(sandbox.endpoints, 4) or gateway.choose(sandbox.endpoints, 6)
        await self.endpoints.unpublish(way, sandbox)

    async def _clear(self, sandbox: Sandbox) -> None:
        """The slow part, behind the answer."""
        try:
            unpinning = self._unpinning.get(sandbox.id)
            if unpinning is not None:
                await unpinning
                if self._unpinning.get(sandbox.id) is unpinning:
                    del self._unpinning[sandbox.id]
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
            self._s.store.put(CHANGE, sandbox_id, before)
            undo.callback(self._s.store.delete, CHANGE, sandbox_id)
            inside = await self._s.host.call(lambda: namespace.open_at(before.netns))
            undo.callback(self.spawn_close, inside)
            endpoint = await self.endpoints.join(before, net, wanted, inside, undo)
            after = replace(before, endpoints=(*before.endpoints, endpoint))
            after = await self._with_gateway(after, inside, undo)
            surplus = [] if gateway.wanted(after.endpoints) else [e for e in after.endpoints if e.is_gateway]
            after = replace(after, endpoints=tuple(e for e in after.endpoints if e not in surplus))
            after = await self._settle(before, after, inside, undo)
            faults.point("connect: settled")
            undo.push_async_callback(self._put_names, before)
            await self._put_names(after)
            undo.callback(self.files.follow, after, before)
            self.files.follow(before, after)
            faults.point("connect: names")
            self._keep(after)
            undo.callback(self._keep, before)
            await self._link()
            undo.pop_all()
            await self._part(surplus, after, inside)
        self._publish_event("connect", endpoint, after)
        return after

    async def _part(self, endpoints: Sequence[Endpoint], after: Sandbox, inside: Namespace) -> list[Exception]:
        """The end of a live change: endpoints that are no longer the sandbox's go."""
        problems: list[Exception] = []
        for endpoint in endpoints:
            await _each(problems, self.endpoints.leave(endpoint, after))
            if endpoint.link:
                await _each(problems, self._s.host.delete_links([endpoint.link]))
        self.spawn_close(inside)
        self._s.store.delete(CHANGE, after.id)
        return problems

    async def disconnect(self, sandbox_id: str, network: str, force: bool = False) -> Sandbox:
        """``force`` is Docker's: it only matters for sandboxes that are not there, which the caller knows."""
        return await asyncio.shield(self.spawn(self._disconnect(sandbox_id, network)))

    async def _disconnect(self, sandbox_id: str, network: str) -> Sandbox:
        net = self._s.catalog.find(network)
        async with self._lock(sandbox_id), AsyncExitStack() as undo:
            before = self._live(sandbox_id)
            endpoint = next((e for e in before.endpoints if e.network_id == net.network.id), None)
            if endpoint is None:
                raise Forbidden(f"container {sandbox_id} is not connected to network {net.network.name}")
            if net.network.driver == "host":
                raise Conflict("cannot disconnect container from host network - container was created in host "
                               "network mode")
            self._s.store.put(CHANGE, sandbox_id, before)
            undo.callback(self._s.store.delete, CHANGE, sandbox_id)
            inside = await self._s.host.call(lambda: namespace.open_at(before.netns))
            undo.callback(self.spawn_close, inside)
            after = replace(before, endpoints=tuple(e for e in before.endpoints if e is not endpoint))
            after = await self._with_gateway(after, inside, undo)
            gone = [endpoint] if gateway.wanted(after.endpoints) else [
                endpoint, *(e for e in after.endpoints if e.is_gateway)]
            after = replace(after, endpoints=tuple(e for e in after.endpoints if e not in gone))
            after = await self._settle(before, after, inside, undo)
            faults.point("disconnect: settled")
            undo.push_async_callback(self._put_names, before)
            await self._put_names(after)
            undo.callback(self.files.follow, after, before)
            self.files.follow(before, after)
            self._keep(after)
            undo.callback(self._keep, before)
            await self._link()
            undo.pop_all()
            problems = await self._part(gone, after, inside)
            faults.point("disconnect: left")
        self._publish_event("disconnect", endpoint, after)
        if problems:
            raise SystemFailure("; ".join(str(problem) for problem in problems))
        return after

    async def _settle(self, before: Sandbox, after: Sandbox, inside: Namespace, undo: AsyncExitStack) -> Sandbox:
        """Routes and published ports follow the endpoint that is the way out now."""
        def back() -> None:
            namespace.route(inside, before.endpoints)

        was = gateway.choose(before.endpoints, 4) or gateway.choose(before.endpoints, 6)
        now = gateway.choose(after.endpoints, 4) or gateway.choose(after.endpoints, 6)
        if was is not now:
            await self.endpoints.unpublish(was, before)
            undo.push_async_callback(self.endpoints.publish, was, before)
        undo.push_async_callback(self._s.host.call, back)
        await self._s.host.call(lambda: namespace.route(inside, after.endpoints))
        faults.point("settle: routed")
        return await self._publish(after, undo)

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
            for endpoint in endpoints:
                await self.endpoints.renamed(endpoint, after)

    def _live(self, sandbox_id: str) -> Sandbox:
        sandbox = self._all.get(sandbox_id)
        if sandbox is None:
            raise Conflict(f"container {sandbox_id[:12]} is not running")
        return sandbox

    def adopt(self, sandbox: Sandbox) -> None:
        """A live sandbox of an engine before this one."""
        self._keep(sandbox)

    async def _link(self) -> None:
        """What links let through, after any change of who is there."""
        await self._s.firewall.set_links(link_rules(self._all.values(), self.endpoints.rules))

    def _forget(self, sandbox_id: str) -> None:
        self._s.store.delete(KIND, sandbox_id)
        self._all.pop(sandbox_id, None)

    def _keep(self, sandbox: Sandbox) -> None:
        self._s.store.put(KIND, sandbox.id, sandbox)
        self._all[sandbox.id] = sandbox

    # -- names

    def _folder(self, sandbox_id: str) -> Path:
        return self._s.host.run / "sandboxes" / sandbox_id

    def _by_ref(self, ref: str) -> Sandbox | None:
        for sandbox in self._all.values():
            if sandbox.config.name == ref or (len(ref) >= 12 and sandbox.id.startswith(ref)):
                return sandbox
        return None

    async def _put_names(self, sandbox: Sandbox) -> None:
        if any(self.endpoints.named(endpoint.network_id) for endpoint in sandbox.endpoints):
            await self._s.names.put(naming.sandbox_names(sandbox, files.host_resolver(), self.endpoints.named))
        elif sandbox.id in self._all:
            await self._s.names.remove(sandbox.id)

    async def set_peers(self, network_id: str, peers: Sequence[Peer]) -> None:
        """See ``Networks.set_peers``."""
        key = peers_id(network_id)
        if peers:
            await self._s.names.put(naming.peer_names(self._s.catalog.find(network_id).network, peers))
        elif key in self._s.names.known():
            await self._s.names.remove(key)

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


def host_has_ipv6() -> bool:
    return sysctl.read("ipv6/conf/all/disable_ipv6") == "0"
