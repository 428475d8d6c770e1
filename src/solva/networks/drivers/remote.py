"""Networks of a plugin: Docker's remote drivers. The plugin makes an interface, the engine moves it into the sandbox.

CreateNetwork and DeleteNetwork are called once in a network's life: a plugin keeps its networks over a restart of the
engine, as with Docker.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Sequence
from dataclasses import replace

import msgspec

from solva.errors import SolvaError
from solva.kernel import links, netlink, netns
from solva.kernel.links import Link
from solva.kernel.netlink import NetlinkError
from solva.networks import namespace
from solva.networks.drivers import remote_convert as convert
from solva.networks.drivers.base import DriverNetwork, Interface, Traits
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.model import Endpoint, Network, PortMapping, PublishedPort, Sandbox
from solva.networks.namespace import Namespace
from solva.plugins import network as wire
from solva.plugins.errors import MethodMissing, PluginError
from solva.plugins.finder import Plugins
from solva.plugins.network import EndpointInterface, NetworkPlugin

_UNDO = 5.0      # seconds for a call that takes back what has failed
_SOURCE, _INFO = "source", "info"      # in Endpoint.data
_log = logging.getLogger(__name__)


class RemoteDriver:
    """See ``NetworkDriver``. Made by ``connect``."""

    def __init__(self, host: Host, plugins: Plugins, name: str, capabilities: wire.Capabilities) -> None:
        self._host = host
        self._plugin = NetworkPlugin(plugins, name)
        self._checks_gateway = capabilities.GwAllocChecker
        self.name = name
        self.traits = Traits(scope=capabilities.Scope, gateway=True, outside=True)

    @classmethod
    async def connect(cls, host: Host, plugins: Plugins, name: str) -> RemoteDriver:
        """PluginError when the plugin does not answer, or not as a network driver."""
        return cls(host, plugins, name, await NetworkPlugin(plugins, name).capabilities())

    def parse(self, network: Network) -> DriverNetwork:
        return DriverNetwork(network)

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        return ""

    def links(self, net: DriverNetwork) -> Sequence[str]:
        return ()

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None

    async def create_network(self, net: DriverNetwork) -> None:
        return      # see allocate_network

    async def delete_network(self, net: DriverNetwork) -> None:
        return      # see free_network

    # -- networks

    async def wants_gateway(self, network: Network) -> tuple[bool, bool]:
        """For IPv4, IPv6."""
        if not self._checks_gateway:
            return True, True
        choice = await self._plugin.gateway_choice(convert.network_options(network))
        return not choice.SkipIPv4, not choice.SkipIPv6

    async def allocate_network(self, record: Network) -> Network:
        ipv4, ipv6 = convert.ipam_data(record, 4), convert.ipam_data(record, 6)
        options = convert.network_options(record)
        if self.traits.scope == "global":
            try:
                told = await self._plugin.allocate_network(record.id, record.options, ipv4, ipv6)
            except MethodMissing:
                told = {}
            options[wire.GENERIC] = {**options[wire.GENERIC], **told}
        try:
            await self._plugin.create_network(record.id, options, ipv4, ipv6)
        except BaseException as error:
            # It may have been made all the same, by a plugin that was too slow.
            await self._quietly(self._plugin.delete_network(record.id, _UNDO), error)
            await self._free(record, error)
            raise
        return record

    async def free_network(self, record: Network) -> None:
        """The network goes even if the plugin says no, or is not there any more: Docker's users wait for that in
        vain."""
        try:
            await self._plugin.delete_network(record.id)
        except SolvaError as error:
            _log.warning("network %s is removed, its plugin %s said: %s", record.name, self.name, error)
        await self._free(record, None)

    async def _free(self, record: Network, reason: BaseException | None) -> None:
        if self.traits.scope == "global":
            await self._quietly(self._plugin.free_network(record.id), reason)

    async def _quietly(self, call: Awaitable[None], reason: BaseException | None) -> None:
        """Take back what is half made; what is wrong is said already."""
        try:
            await call
        except MethodMissing:
            pass
        except SolvaError as error:
            _log.warning("plugin %s, taking back after %r: %s", self.name, str(reason), error)

    # -- endpoints

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        record = net.network
        if endpoint.data:      # its link was taken away: the plugin knows it still
            await self._part(record, endpoint)
        try:
            given = await self._create_endpoint(record, endpoint, sandbox)
        except SolvaError as error:
            raise type(error)(f"failed to create endpoint {sandbox.config.name} on network {record.name}: "
                              f"{error}") from error
        try:
            return await self._join(net, given, sandbox, inside)
        except BaseException as error:
            await self._quietly(self._plugin.leave(record.id, endpoint.id, _UNDO), error)
            await self._quietly(self._plugin.delete_endpoint(record.id, endpoint.id, _UNDO), error)
            raise

    async def _create_endpoint(self, record: Network, endpoint: Endpoint, sandbox: Sandbox) -> Endpoint:
        """The endpoint as the plugin has decided where it had to; its ``mac`` is "" for "as the link has it"."""
        told = EndpointInterface(
            f"{endpoint.ipv4}/{endpoint.prefix4}" if endpoint.ipv4 else "",
            f"{endpoint.ipv6}/{endpoint.prefix6}" if endpoint.ipv6 else "",
            endpoint.mac if endpoint.data else endpoint.config.mac)      # data: it has been here before
        options = {**endpoint.config.driver_opts, **convert.port_options(sandbox)}
        try:
            answer = await self._plugin.create_endpoint(record.id, endpoint.id, told, options)
            return convert.decided(endpoint, told, answer)
        except BaseException as error:
            await self._quietly(self._plugin.delete_endpoint(record.id, endpoint.id, _UNDO), error)
            raise

    async def _join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        record = net.network
        options = {**endpoint.config.driver_opts, **convert.port_options(sandbox)}
        joined = await self._plugin.join(record.id, endpoint.id, sandbox.netns, options)
        found = replace(convert.ways(joined, record), ipv4=endpoint.ipv4, prefix4=endpoint.prefix4,
                        ipv6=endpoint.ipv6, prefix6=endpoint.prefix6)
        names = joined.InterfaceName
        data = {_INFO: await self._info(record, endpoint)}
        if names is None or not names.SrcName:      # nothing for the sandbox to have
            return replace(found, configured=True, routes=(), data=data)
        ifname = convert.interface_name(names, endpoint, sandbox)
        link = await self._host.call(lambda: self._move_in(names.SrcName, ifname, endpoint.mac, inside))
        return replace(found, ifname=ifname, mac=link.mac, data={**data, _SOURCE: names.SrcName})

    async def _info(self, record: Network, endpoint: Endpoint) -> str:
        """What the plugin tells about it, as JSON; not worth a failure."""
        try:
            value = await self._plugin.oper_info(record.id, endpoint.id)
        except SolvaError as error:
            _log.warning("plugin %s: %s", self.name, error)
            return ""
        return msgspec.json.encode(value).decode() if value else ""

    def _move_in(self, source: str, ifname: str, mac: str, inside: Namespace) -> Link:
        what = f"failed to add interface {source} to sandbox"
        link = links.get_link(self._host.netlink, source)
        if link is None:
            raise PluginError(f'{what}: failed to get link by name "{source}": Link not found')
        if link.alias == self._host.alias or link.name.startswith(self._host.veth_prefix):
            raise PluginError(f"{what}: it belongs to another network of this engine")
        self._host.netlink.execute([links.move_link(link.index, inside.descriptor, ifname)])
        try:
            moved = links.get_link(inside.netlink, ifname)
            if moved is None:
                raise PluginError(f"{what}: it is not there as {ifname}")
            if mac:
                inside.netlink.execute([links.set_link(moved.index, mac=mac)])
                moved = replace(moved, mac=mac)
            return moved
        except BaseException:
            _move_back(inside, ifname, source)
            raise

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        await self._part(net.network, endpoint, sandbox)

    async def _part(self, record: Network, endpoint: Endpoint, sandbox: Sandbox | None = None) -> None:
        """Everything is tried, then the first problem raised (where there is a sandbox to leave)."""
        problems: list[SolvaError] = []

        async def step(work: Awaitable[None]) -> None:
            try:
                await work
            except MethodMissing:
                pass
            except SolvaError as error:
                problems.append(error)

        await step(self._plugin.leave(record.id, endpoint.id))
        deserted = bool(problems)
        if sandbox is not None and sandbox.netns:
            await step(self._host.call(lambda: self._move_out(sandbox.netns, endpoint, deserted)))
        await step(self._plugin.delete_endpoint(record.id, endpoint.id))
        if problems and sandbox is not None:
            raise problems[0]

    def _move_out(self, path: str, endpoint: Endpoint, deserted: bool) -> None:
        """Back to where the plugin made it, under its name there, as Docker does: it may be a real card. What a plugin
        that does not answer has made goes."""
        source = endpoint.data.get(_SOURCE, "")
        try:
            inside = namespace.open_at(path)
        except OSError:
            return      # the sandbox is gone, and with it what is virtual
        try:
            link = links.get_link(inside.netlink, endpoint.ifname) if source else None
            if link is None:
                return
            if deserted and link.kind:
                inside.netlink.execute([links.delete_link(link.name)])
            else:
                _move_back(inside, link.name, source)
        finally:
            inside.close()

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        def there() -> bool:
            inside = namespace.open_at(sandbox.netns)
            try:
                return links.get_link(inside.netlink, endpoint.ifname) is not None
            finally:
                inside.close()

        return not endpoint.data.get(_SOURCE) or await self._host.call(there)

    # -- ports, hosts

    async def publish(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox,
                      ports: Sequence[PortMapping]) -> Sequence[PublishedPort]:
        """Which host ports a plugin has taken, it cannot tell."""
        await self._plugin.program(net.network.id, endpoint.id, convert.port_options(sandbox))
        return ()

    async def unpublish(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        await self._plugin.revoke(net.network.id, endpoint.id)

    async def discover(self, address: str, *, own: bool, gone: bool = False) -> None:
        """A host has come into the cluster, or left it."""
        await self._plugin.discover(address, own=own, gone=gone)


def _move_back(inside: Namespace, ifname: str, source: str) -> None:
    """Out of a sandbox into the host's namespace, which is the calling thread's. Fine when the link is gone."""
    home = netns.current()
    try:
        link = links.get_link(inside.netlink, ifname)
        if link is not None:
            inside.netlink.execute([links.move_link(link.index, home, source)])
    except NetlinkError as error:
        if not netlink.gone(error):
            raise
    finally:
        os.close(home)

