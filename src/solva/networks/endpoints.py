"""One endpoint: joined to a sandbox through its network's driver and address management, and taken away again."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from solva import faults, ids
from solva.errors import NotFound, SolvaError
from solva.kernel import netns
from solva.networks import names as naming
from solva.networks import namespace, wishes
from solva.networks.catalog import Catalog
from solva.networks.drivers.base import DriverNetwork, FollowsNames, Interface, PublishesPorts
from solva.networks.drivers.bridge import PREFIX
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.ipam.default import DefaultIpam
from solva.networks.model import Endpoint, EndpointConfig, Network, PublishedPort, Sandbox
from solva.networks.namespace import Namespace
from solva.plugins.errors import PluginAway, PluginSilent
from solva.store.sqlite import Store

_log = logging.getLogger(__name__)
OUTSIDE = "endpoint-outside"
"""Sandboxes with the one endpoint that somebody outside knows; kept from before it joins until it has left."""


class Endpoints:
    """``discard``: removes links behind the answer."""

    def __init__(self, host: Host, catalog: Catalog, store: Store, discard: Callable[[list[str]], None]) -> None:
        self._host = host
        self._store = store
        self._catalog = catalog
        self._discard = discard
        self._held: dict[tuple[str, str], tuple[str, str]] = {}      # sandbox, network: its addresses before the reboot

    # -- what a network offers

    def rules(self, network_id: str) -> BridgeRules | None:
        """The firewall's part of a network whose ports the engine publishes."""
        try:
            net = self._catalog.find(network_id)
        except NotFound:
            return None
        return self._catalog.rules(net) if self._catalog.driver(net.network.driver).traits.publishes else None

    def named(self, network_id: str) -> bool:
        """Whether a network has a name service."""
        try:
            network = self._catalog.find(network_id).network
        except NotFound:
            return False
        return not network.predefined and self._catalog.driver(network.driver).traits.names

    # -- addresses over a reboot

    async def hold(self, sandbox: Sandbox) -> None:
        """Its namespace ended with the machine's last run. Until everything that starts by itself has started, nobody
        else gets its addresses; then it has them again (unless another address management than ours decides)."""
        for endpoint in sandbox.endpoints:
            try:
                record = self._catalog.find(endpoint.network_id).network
                ipam = self._catalog.registry.ipam(record)
                if record.ipam_driver != DefaultIpam.name or not isinstance(ipam, DefaultIpam):
                    continue
                for version, address in ((4, endpoint.ipv4), (6, endpoint.ipv6)):
                    if address:
                        await ipam.adopt(record, version, address)
            except (NotFound, SolvaError) as error:
                _log.warning("sandbox %s on %s: %s", sandbox.id[:12], endpoint.network_name, error)
                continue
            self._held[sandbox.id, record.id] = endpoint.ipv4, endpoint.ipv6

    async def release_held(self) -> None:
        """Nobody starts by itself any more."""
        for sandbox_id, network_id in list(self._held):
            try:
                await self._let_go(sandbox_id, self._catalog.find(network_id).network)
            except NotFound:
                self._held.pop((sandbox_id, network_id), None)

    async def _let_go(self, sandbox_id: str, record: Network) -> tuple[str, str]:
        """The addresses it had, free now."""
        before = self._held.pop((sandbox_id, record.id), ("", ""))
        for address in before:
            if address:
                await self._catalog.registry.ipam(record).release(record, address)
        return before

    # -- joined and left

    async def join(self, sandbox: Sandbox, net: DriverNetwork, wanted: EndpointConfig, inside: Namespace,
                   undo: AsyncExitStack, *, is_gateway: bool = False) -> Endpoint:
        """All of it, with ways back in ``undo``, or nothing."""
        record = net.network
        await self._catalog.registry.ready(record)
        ipam = self._catalog.registry.ipam(record)
        endpoint = Endpoint(
            id=ids.new_id(), network_id=record.id, network_name=record.name, config=wanted,
            ifname=wishes.interface_name(wanted, sandbox.endpoints, record.options.get(PREFIX) or "eth"),
            mac=wanted.mac or random_mac(), is_gateway=is_gateway,
            dns_names=naming.dns_names(sandbox.config, wanted) if self.named(record.id) and not is_gateway else ())
        before = await self._let_go(sandbox.id, record)
        ipv4, prefix4 = await ipam.take(record, 4, wanted.ipv4 or before[0], mac=endpoint.mac)
        undo.push_async_callback(ipam.release, record, ipv4)
        ipv6, prefix6 = await ipam.take(record, 6, wanted.ipv6 or before[1], mac=endpoint.mac)
        undo.push_async_callback(ipam.release, record, ipv6)
        endpoint = replace(endpoint, ipv4=ipv4, prefix4=prefix4, ipv6=ipv6, prefix6=prefix6)
        faults.point("join: address")
        endpoint = await self.rejoin(sandbox, net, endpoint, inside, undo)
        faults.point("join: configured")
        return endpoint

    async def rejoin(self, sandbox: Sandbox, net: DriverNetwork, endpoint: Endpoint, inside: Namespace,
                     undo: AsyncExitStack) -> Endpoint:
        """The kernel's part, for an endpoint that has its addresses."""
        driver = self._catalog.driver(net.network.driver)
        outside = driver.traits.outside or net.network.ipam_driver not in ("default", "null")
        if outside:
            undo.callback(self._store.delete, OUTSIDE, endpoint.id)
            self._store.put(OUTSIDE, endpoint.id, replace(sandbox, endpoints=(endpoint,)))
        faults.point("join: recorded")
        interface = await driver.join(net, endpoint, sandbox, inside)
        endpoint = made(endpoint, interface)
        if outside:
            self._store.put(OUTSIDE, endpoint.id, replace(sandbox, endpoints=(endpoint,)))
        if interface.link:
            undo.callback(self._discard, [interface.link])
        undo.push_async_callback(driver.leave, net, endpoint, sandbox)
        faults.point("join: link")
        if not endpoint.configured:
            await self._host.call(lambda: namespace.configure(inside, endpoint))
        return endpoint

    async def leave(self, endpoint: Endpoint, sandbox: Sandbox) -> None:
        """The driver's part at once; the addresses are free even if it fails."""
        net = self._catalog.find(endpoint.network_id)
        try:
            driver = await self._catalog.registry.ready(net.network)
            await driver.leave(net, endpoint, sandbox)
        finally:
            ipam = self._catalog.registry.ipam(net.network)
            for address in (endpoint.ipv4, endpoint.ipv6):
                await ipam.release(net.network, address)
            self._store.delete(OUTSIDE, endpoint.id)

    async def give_back(self, live: Sequence[Sandbox]) -> None:
        """An engine starts: endpoints that are known outside and are none of ``live`` leave. Before anything joins, for
        an interface of the same name may. One whose plugin is not there is kept for the next time."""
        known = {endpoint.id for sandbox in live for endpoint in sandbox.endpoints}
        taken = {(sandbox.id, endpoint.ifname) for sandbox in live for endpoint in sandbox.endpoints}
        for row in self._store.all(OUTSIDE, Sandbox):
            endpoint = row.endpoints[0]
            if endpoint.id in known:
                continue
            try:
                if (row.id, endpoint.ifname) not in taken:
                    pinned = bool(row.netns) and netns.pinned(row.netns)
                    await self.leave(endpoint, row if pinned else replace(row, netns=""))
                    _log.info("sandbox %s: its end is told to network %s", row.id[:12], endpoint.network_name)
            except (PluginAway, PluginSilent) as error:
                _log.warning("sandbox %s is still known to network %s: %s", row.id[:12], endpoint.network_name, error)
                self._store.put(OUTSIDE, endpoint.id, row)
                continue
            except SolvaError as error:
                _log.warning("sandbox %s: %s", row.id[:12], error)
            self._store.delete(OUTSIDE, endpoint.id)

    async def renamed(self, endpoint: Endpoint, sandbox: Sandbox) -> None:
        """Tell a driver whose networks reach further than this host."""
        net = self._catalog.find(endpoint.network_id)
        driver = self._catalog.driver(net.network.driver)
        if isinstance(driver, FollowsNames):
            await driver.renamed(net, endpoint, sandbox)

    # -- ports that a driver publishes itself

    async def publish(self, endpoint: Endpoint | None, sandbox: Sandbox) -> Sequence[PublishedPort]:
        """What the driver has published. Nothing where the engine does it. Also told when there are no ports: it is the
        way out."""
        if endpoint is not None:
            net = self._catalog.find(endpoint.network_id)
            driver = self._catalog.driver(net.network.driver)
            if isinstance(driver, PublishesPorts):
                return await driver.publish(net, endpoint, sandbox, sandbox.config.ports)
        return ()

    async def unpublish(self, endpoint: Endpoint | None, sandbox: Sandbox) -> None:
        if endpoint is not None:
            net = self._catalog.find(endpoint.network_id)
            driver = self._catalog.driver(net.network.driver)
            if isinstance(driver, PublishesPorts):
                await driver.unpublish(net, endpoint, sandbox)


def made(endpoint: Endpoint, interface: Interface) -> Endpoint:
    """The endpoint with what the driver has decided."""
    ipv4, prefix4 = (interface.ipv4, interface.prefix4) if interface.ipv4 else (endpoint.ipv4, endpoint.prefix4)
    ipv6, prefix6 = (interface.ipv6, interface.prefix6) if interface.ipv6 else (endpoint.ipv6, endpoint.prefix6)
    return replace(
        endpoint, link=interface.link, ifname=interface.ifname or endpoint.ifname, mac=interface.mac or endpoint.mac,
        ipv4=ipv4, prefix4=prefix4, ipv6=ipv6, prefix6=prefix6, gateway4=interface.gateway4,
        gateway6=interface.gateway6, device_route=interface.device_route, routes=interface.routes,
        configured=interface.configured, needs_gateway=interface.needs_gateway, data=dict(interface.data))


def random_mac() -> str:
    """A locally administered unicast address."""
    value = bytearray(secrets.token_bytes(6))
    value[0] = (value[0] | 2) & 0xFE
    return value.hex(":")
