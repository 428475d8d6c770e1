"""Volume plugins: Docker's VolumeDriver protocol (https://docs.docker.com/engine/extend/plugins_volume/)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from solva.errors import InvalidParameter
from solva.plugins.client import Client
from solva.plugins.errors import MethodMissing, PluginError
from solva.volumes.base import Found

_LISTING = 10.0


class _Answer(msgspec.Struct):
    Err: str = ""


class _Mountpoint(_Answer):
    Mountpoint: str = ""


class _Volume(msgspec.Struct):
    Name: str = ""
    Mountpoint: str = ""
    CreatedAt: str = ""
    Status: dict[str, Any] | None = None


class _Got(_Answer):
    Volume: _Volume | None = None


class _Listed(_Answer):
    Volumes: list[_Volume] = []


class _Scope(msgspec.Struct):
    Scope: str = "local"


class _Capabilities(_Answer):
    Capabilities: _Scope | None = None


A = TypeVar("A", bound=_Answer)


class RemoteDriver:
    """``VolumeDriver``. ``scope`` is what ``greet`` has found out."""

    def __init__(self, client: Client, timeout: float) -> None:
        self.client = client
        self.name = client.name
        self.scope = "local"
        self._timeout = timeout

    async def _call(self, method: str, request: dict[str, Any], answer: type[A], timeout: float = 0) -> A:
        found = await self.client.call(f"VolumeDriver.{method}", request, answer, timeout=timeout or self._timeout)
        if found.Err:
            raise PluginError(found.Err[:500])
        return found

    async def greet(self) -> None:
        """Learn what it can. A plugin of the first version of the protocol has no such method: all is local then."""
        try:
            found = await self._call("Capabilities", {}, _Capabilities, _LISTING)
        except MethodMissing:
            return
        scope = (found.Capabilities or _Scope()).Scope.lower() or "local"
        if scope not in ("local", "global"):
            raise PluginError(f'plugin "{self.name}" has the unknown scope {scope[:100]!r}: it must be local or global')
        self.scope = scope

    def check(self, name: str, options: dict[str, str]) -> None:
        if "\0" in name:
            raise InvalidParameter("a volume's name cannot contain a null character")

    async def create(self, name: str, options: dict[str, str] | None) -> None:
        await self._call("Create", {"Name": name, "Opts": options}, _Answer)

    async def remove(self, name: str, options: dict[str, str] | None) -> None:
        await self._call("Remove", {"Name": name}, _Answer)

    async def mount(self, name: str, options: dict[str, str] | None, user: str) -> Path:
        found = await self._call("Mount", {"Name": name, "ID": user}, _Mountpoint)
        path = found.Mountpoint
        if not path:      # it may rather answer Path
            path = (await self._call("Path", {"Name": name}, _Mountpoint)).Mountpoint
        if not path.startswith("/") or "\0" in path or not os.path.isdir(path):
            try:
                await self.unmount(name, options, user, last=False)
            except PluginError:
                pass      # what is wrong is said already
            raise PluginError(f'plugin "{self.name}" says that volume {name} is at {path[:200]!r}, where there is no '
                              "directory")
        return Path(path)

    async def unmount(self, name: str, options: dict[str, str] | None, user: str, *, last: bool) -> None:
        await self._call("Unmount", {"Name": name, "ID": user}, _Answer)

    async def get(self, name: str) -> Found | None:
        """A refusal counts as "no such volume", as in Docker: the protocol has no other word for it."""
        found = await self.client.call("VolumeDriver.Get", {"Name": name}, _Got, timeout=min(_LISTING, self._timeout))
        if found.Err or found.Volume is None:
            return None
        return _found(found.Volume, name)

    async def listing(self) -> list[Found]:
        """All it has."""
        found = await self._call("List", {}, _Listed, min(_LISTING, self._timeout))
        return [_found(volume, volume.Name) for volume in found.Volumes if volume.Name]


def _found(volume: _Volume, name: str) -> Found:
    return Found(name, volume.Mountpoint, volume.CreatedAt, volume.Status)
