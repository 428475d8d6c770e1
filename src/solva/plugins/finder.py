"""Which plugins there are, and what each implements (``/Plugin.Activate``)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import msgspec

from solva.errors import SolvaError
from solva.plugins import discovery
from solva.plugins.client import Client
from solva.plugins.errors import PluginError

NETWORK, IPAM, VOLUME = "NetworkDriver", "IpamDriver", "VolumeDriver"
ACTIVATION = 10.0


class Manifest(msgspec.Struct):
    """What /Plugin.Activate answers."""

    Implements: list[str] = []


@dataclass(frozen=True, slots=True)
class Settings:
    """``timeout``: seconds for a call of a network or address plugin; ``volume_timeout``: of a volume plugin, which may
    have a disk to attach."""

    directories: tuple[str, ...] = discovery.DIRECTORIES
    timeout: float = 30.0
    volume_timeout: float = 120.0


class Plugins:
    """Activated ones are remembered until their socket or file is made anew."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._clients: dict[str, Client] = {}
        self._manifests: dict[str, Manifest] = {}      # of the clients that have been activated
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, name: str, kind: str) -> Client | None:
        """The plugin ``name``; None when there is none. PluginError when it is no ``kind``, or does not answer."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            client = self._client(name)
            if client is None:
                return None
            manifest = await self._manifest(client, patient=True)      # it may be starting just now
        if kind not in manifest.Implements:
            offered = ", ".join(manifest.Implements[:10]) or "nothing"
            raise PluginError(f'plugin "{name}" does not implement {kind}; it implements {offered}')
        return client

    def _client(self, name: str) -> Client | None:
        location = discovery.find(name, self.settings.directories)
        if location is None:
            return None
        known = self._clients.get(name)
        if known is None or known.location != location:
            self._manifests.pop(name, None)
            known = self._clients[name] = Client(location, self.settings.timeout)
        return known

    async def _manifest(self, client: Client, *, patient: bool) -> Manifest:
        known = self._manifests.get(client.name)
        if known is None:
            known = self._manifests[client.name] = await client.call(
                "Plugin.Activate", None, Manifest, patient=patient, timeout=min(ACTIVATION, self.settings.timeout))
        return known

    async def all(self, kind: str) -> tuple[list[Client], list[str]]:
        """Every plugin of a kind that there is now, and what is wrong with those that do not answer. One that has not
        answered a short while ago is not asked again."""
        names = discovery.scan(self.settings.directories)
        found, problems = [], []
        for result in await asyncio.gather(*(self._one(name, kind) for name in names), return_exceptions=True):
            if isinstance(result, SolvaError):
                problems.append(str(result))
            elif isinstance(result, BaseException):
                raise result
            elif result is not None:
                found.append(result)
        return found, problems

    async def _one(self, name: str, kind: str) -> Client | None:
        async with self._locks.setdefault(name, asyncio.Lock()):
            client = self._client(name)
            if client is None:
                return None
            if client.silent:
                raise PluginError(f'plugin "{name}" has not answered a short while ago')
            manifest = await self._manifest(client, patient=False)
        return client if kind in manifest.Implements else None

    def active(self, kind: str) -> list[str]:
        """The names of those that have been used and are there, for /info."""
        return sorted(name for name, manifest in self._manifests.items()
                      if kind in manifest.Implements and os.path.exists(self._clients[name].location.file))
