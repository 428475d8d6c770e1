"""The volume drivers by name: local, and plugins, found when they are first asked for."""

from __future__ import annotations

import asyncio
import logging

from solva.errors import NotFound, SolvaError
from solva.plugins import finder
from solva.plugins.client import Client
from solva.plugins.finder import Plugins
from solva.volumes.base import Found, VolumeDriver
from solva.volumes.local import LocalDriver
from solva.volumes.remote import RemoteDriver

_log = logging.getLogger(__name__)


class Drivers:
    """One an engine."""

    def __init__(self, local: LocalDriver, plugins: Plugins | None) -> None:
        self._local = local
        self._plugins = plugins
        self._remote: dict[str, RemoteDriver] = {}

    async def get(self, name: str) -> VolumeDriver:
        """NotFound in Docker's words; PluginError for one that does not answer."""
        if name in ("", "local"):
            return self._local
        client = None if self._plugins is None else await self._plugins.get(name, finder.VOLUME)
        if client is None:
            raise NotFound(f'error looking up volume plugin {name}: plugin "{name}" not found')
        return await self._greeted(client)

    async def _greeted(self, client: Client) -> RemoteDriver:
        known = self._remote.get(client.name)
        if known is None or known.client is not client:
            assert self._plugins is not None
            known = RemoteDriver(client, self._plugins.settings.volume_timeout)
            await known.greet()
            self._remote[client.name] = known
        return known

    async def remote(self) -> tuple[list[RemoteDriver], list[str]]:
        """All plugins that there are now, and what is wrong with those that do not answer."""
        if self._plugins is None:
            return [], []
        clients, problems = await self._plugins.all(finder.VOLUME)
        found = []
        for client in clients:
            try:
                found.append(await self._greeted(client))
            except SolvaError as error:
                problems.append(str(error))
        return found, problems

    async def lookup(self, name: str) -> tuple[str, Found] | None:
        """Which plugin has a volume of this name that nobody has told the engine of."""
        drivers, problems = await self.remote()
        answers = await asyncio.gather(*(driver.get(name) for driver in drivers), return_exceptions=True)
        for driver, answer in zip(drivers, answers, strict=True):
            if isinstance(answer, Found):
                return driver.name, answer
            if isinstance(answer, SolvaError):
                problems.append(str(answer))
            elif isinstance(answer, BaseException):
                raise answer
        for problem in problems:
            _log.warning("looking for volume %s: %s", name, problem)
        return None

    async def listed(self) -> tuple[list[tuple[RemoteDriver, Found]], list[str]]:
        """Every volume of every plugin, and what went wrong."""
        drivers, problems = await self.remote()
        found = []
        answers = await asyncio.gather(*(driver.listing() for driver in drivers), return_exceptions=True)
        for driver, answer in zip(drivers, answers, strict=True):
            if isinstance(answer, SolvaError):
                problems.append(f"{driver.name}: {answer}")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += [(driver, each) for each in answer]
        return found, problems

    def names(self) -> list[str]:
        """For /info: local, and the plugins that have been used."""
        return ["local", *(self._plugins.active(finder.VOLUME) if self._plugins is not None else ())]
