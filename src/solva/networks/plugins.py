"""Drivers and address management by plugins, as the registry asks for them; drivers are told the cluster's hosts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from solva.errors import SolvaError
from solva.networks.drivers.remote import RemoteDriver
from solva.networks.host import Host
from solva.networks.ipam.remote import RemoteIpam
from solva.plugins import finder
from solva.plugins.finder import Plugins
from solva.plugins.network import Capabilities

_log = logging.getLogger(__name__)


class NetworkPlugins:
    """See ``drivers.base.PluginFinder``. ``hosts``: the addresses of the cluster's hosts by their ids, ``own`` among
    them; without a cluster there are none, and drivers are told nothing (as in Docker without a swarm)."""

    def __init__(self, host: Host, plugins: Plugins, hosts: Callable[[], Mapping[str, str]] = dict,
                 own: str = "") -> None:
        self._host = host
        self._plugins = plugins
        self._hosts = hosts
        self._own = own
        self._drivers: dict[str, RemoteDriver] = {}
        self._told: dict[str, dict[str, str]] = {}
        self._telling = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def driver(self, name: str) -> RemoteDriver | None:
        if await self._plugins.get(name, finder.NETWORK) is None:
            return None
        found = await RemoteDriver.connect(self._host, self._plugins, name)
        self._drivers[name] = found
        self._told[name] = {}
        self.moved()
        return found

    async def ipam(self, name: str) -> RemoteIpam | None:
        if await self._plugins.get(name, finder.IPAM) is None:
            return None
        return await RemoteIpam.connect(self._plugins, name)

    def stand_in(self, name: str) -> RemoteDriver:
        return RemoteDriver(self._host, self._plugins, name, Capabilities(Scope="local"))

    # -- the cluster

    def moved(self) -> None:
        """Hosts may have come or gone: drivers are told, behind."""
        if not self._drivers:
            return
        task = asyncio.get_running_loop().create_task(self.tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def tell(self) -> None:
        """DiscoverNew and DiscoverDelete for what each driver does not know yet."""
        async with self._telling:
            for name, driver in list(self._drivers.items()):
                told, hosts = self._told[name], dict(self._hosts())
                for key in [key for key, address in told.items() if hosts.get(key) != address]:
                    await self._say(driver, key, told.pop(key), gone=True)
                for key in [key for key in hosts if key not in told]:
                    told[key] = hosts[key]
                    await self._say(driver, key, hosts[key])

    async def _say(self, driver: RemoteDriver, host: str, address: str, *, gone: bool = False) -> None:
        try:
            await driver.discover(address, own=host == self._own, gone=gone)
        except SolvaError as error:
            _log.warning("plugin %s was not told of host %s: %s", driver.name, address, error)

    async def close(self) -> None:
        """What is being told is given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
