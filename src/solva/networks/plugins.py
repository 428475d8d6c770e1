"""Drivers and address management by plugins, as the registry asks for them."""

from __future__ import annotations

from solva.networks.drivers.remote import RemoteDriver
from solva.networks.host import Host
from solva.networks.ipam.remote import RemoteIpam
from solva.plugins import finder
from solva.plugins.finder import Plugins
from solva.plugins.network import Capabilities


class NetworkPlugins:
    """See ``drivers.base.PluginFinder``."""

    def __init__(self, host: Host, plugins: Plugins) -> None:
        self._host = host
        self._plugins = plugins

    async def driver(self, name: str) -> RemoteDriver | None:
        if await self._plugins.get(name, finder.NETWORK) is None:
            return None
        return await RemoteDriver.connect(self._host, self._plugins, name)

    async def ipam(self, name: str) -> RemoteIpam | None:
        if await self._plugins.get(name, finder.IPAM) is None:
            return None
        return await RemoteIpam.connect(self._plugins, name)

    def stand_in(self, name: str) -> RemoteDriver:
        return RemoteDriver(self._host, self._plugins, name, Capabilities(Scope="local"))
