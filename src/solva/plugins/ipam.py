"""The IpamDriver methods of Docker's plugin protocol, as they go on the wire.

https://github.com/moby/moby/blob/master/daemon/libnetwork/docs/ipam.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from solva.plugins import finder
from solva.plugins.errors import MethodMissing, PluginAway, PluginError
from solva.plugins.finder import Plugins

ADDRESS_TYPE, GATEWAY = "RequestAddressType", "com.docker.network.gateway"
MAC = "com.docker.network.endpoint.macaddress"


class Answer(msgspec.Struct):
    """``Error`` is the plugin's refusal."""

    Error: str = ""


class Capabilities(Answer):
    """``RequiresRequestReplay``: it forgets when it restarts and wants all requests again when the engine starts."""

    RequiresMACAddress: bool = False
    RequiresRequestReplay: bool = False


class Spaces(Answer):
    LocalDefaultAddressSpace: str = ""
    GlobalDefaultAddressSpace: str = ""


class RequestedPool(Answer):
    """``Data`` may name the gateway under GATEWAY."""

    PoolID: str = ""
    Pool: str = ""
    Data: dict[str, str] = {}


class RequestedAddress(Answer):
    """``Address`` with its prefix length."""

    Address: str = ""
    Data: dict[str, str] = {}


A = TypeVar("A", bound=Answer)


class IpamPlugin:
    """One plugin, by name."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self._plugins = plugins
        self.name = name

    async def _call(self, method: str, request: Mapping[str, Any] | None, answer: type[A], timeout: float = 0) -> A:
        client = await self._plugins.get(self.name, finder.IPAM)
        if client is None:
            raise PluginAway(f'plugin "{self.name}" not found')
        found = await client.call(f"{finder.IPAM}.{method}", request, answer, timeout=timeout)
        if found.Error:
            raise PluginError(f"remote: {found.Error[:500]}")
        return found

    async def capabilities(self) -> Capabilities:
        """A plugin need not have any."""
        try:
            return await self._call("GetCapabilities", None, Capabilities, finder.ACTIVATION)
        except MethodMissing:
            return Capabilities()

    async def local_space(self) -> str:
        return (await self._call("GetDefaultAddressSpaces", None, Spaces)).LocalDefaultAddressSpace

    async def request_pool(self, space: str, pool: str, sub_pool: str, options: Mapping[str, str], *,
                           v6: bool) -> RequestedPool:
        return await self._call("RequestPool", {"AddressSpace": space, "Pool": pool, "SubPool": sub_pool,
                                                "Options": options, "V6": v6}, RequestedPool)

    async def release_pool(self, pool_id: str) -> None:
        await self._call("ReleasePool", {"PoolID": pool_id}, Answer)

    async def request_address(self, pool_id: str, address: str, options: Mapping[str, str]) -> str:
        """With its prefix length. PluginError when none came back."""
        found = await self._call("RequestAddress", {"PoolID": pool_id, "Address": address, "Options": options},
                                 RequestedAddress)
        if not found.Address:
            raise PluginError("no address returned")
        return found.Address

    async def release_address(self, pool_id: str, address: str) -> None:
        await self._call("ReleaseAddress", {"PoolID": pool_id, "Address": address}, Answer)
