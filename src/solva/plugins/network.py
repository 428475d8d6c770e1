"""The NetworkDriver methods of Docker's plugin protocol, as they go on the wire.

https://github.com/moby/moby/blob/master/daemon/libnetwork/docs/remote.md; what Docker 28 really sends was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from solva.plugins import finder
from solva.plugins.errors import MethodMissing, PluginAway, PluginError
from solva.plugins.finder import Plugins

ENABLE4, ENABLE6 = "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6"
GENERIC, INTERNAL = "com.docker.network.generic", "com.docker.network.internal"
EXPOSED, PORTMAP = "com.docker.network.endpoint.exposedports", "com.docker.network.portmap"
NODE_DISCOVERY = 1


class Answer(msgspec.Struct):
    """``Err`` is the plugin's refusal."""

    Err: str = ""


class Capabilities(Answer):
    """Scopes: local or global; ``GwAllocChecker``: it wants to be asked whether a network needs a gateway address."""

    Scope: str = ""
    ConnectivityScope: str = ""
    GwAllocChecker: bool = False


class GatewayChoice(Answer):
    SkipIPv4: bool = False
    SkipIPv6: bool = False


class Allocated(Answer):
    Options: dict[str, str] = {}


class EndpointInterface(msgspec.Struct):
    """Addresses with their prefix length."""

    Address: str = ""
    AddressIPv6: str = ""
    MacAddress: str = ""


class CreatedEndpoint(Answer):
    Interface: EndpointInterface | None = None


class InterfaceName(msgspec.Struct):
    SrcName: str = ""
    DstPrefix: str = ""
    DstName: str = ""


class StaticRoute(msgspec.Struct):
    """``RouteType``: 0 over ``NextHop``, 1 on the link."""

    Destination: str = ""
    RouteType: int = 0
    NextHop: str = ""


class Joined(Answer):
    InterfaceName: InterfaceName | None = None
    Gateway: str = ""
    GatewayIPv6: str = ""
    StaticRoutes: list[StaticRoute] = []
    DisableGatewayService: bool = False


class OperInfo(Answer):
    Value: dict[str, Any] = {}


class IpamData(msgspec.Struct, omit_defaults=True):
    """One subnet; gateway and auxiliary addresses with its prefix length."""

    AddressSpace: str
    Pool: str
    Gateway: str = ""
    AuxAddresses: dict[str, str] = {}


A = TypeVar("A", bound=Answer)


class NetworkPlugin:
    """One plugin, by name: it is looked up for every call, so that it may come, go and be replaced."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self._plugins = plugins
        self.name = name

    async def _call(self, method: str, request: Mapping[str, Any] | None, answer: type[A], timeout: float = 0) -> A:
        client = await self._plugins.get(self.name, finder.NETWORK)
        if client is None:
            raise PluginAway(f'plugin "{self.name}" not found')
        found = await client.call(f"{finder.NETWORK}.{method}", request, answer, timeout=timeout)
        if found.Err:
            raise PluginError(f"remote: {found.Err[:500]}")
        return found

    async def capabilities(self) -> Capabilities:
        """PluginError for scopes that there are not, as in Docker."""
        found = await self._call("GetCapabilities", None, Capabilities, finder.ACTIVATION)
        for scope in (found.Scope, found.ConnectivityScope or found.Scope):
            if scope not in ("local", "global"):
                raise PluginError(f"invalid capability: expecting 'local' or 'global', got {scope[:100]}")
        return found

    async def gateway_choice(self, options: Mapping[str, Any]) -> GatewayChoice:
        return await self._call("GwAllocCheck", {"Options": options}, GatewayChoice)

    async def allocate_network(self, network_id: str, options: Mapping[str, str], ipv4: Sequence[IpamData],
                               ipv6: Sequence[IpamData]) -> dict[str, str]:
        """What a global driver wants to be told at CreateNetwork."""
        found = await self._call("AllocateNetwork", {"NetworkID": network_id, "Options": options, "IPv4Data": ipv4,
                                                     "IPv6Data": ipv6}, Allocated)
        return found.Options

    async def free_network(self, network_id: str) -> None:
        await self._call("FreeNetwork", {"NetworkID": network_id}, Answer)

    async def create_network(self, network_id: str, options: Mapping[str, Any], ipv4: Sequence[IpamData],
                             ipv6: Sequence[IpamData]) -> None:
        await self._call("CreateNetwork", {"NetworkID": network_id, "Options": options, "IPv4Data": ipv4,
                                           "IPv6Data": ipv6}, Answer)

    async def delete_network(self, network_id: str, timeout: float = 0) -> None:
        await self._call("DeleteNetwork", {"NetworkID": network_id}, Answer, timeout)

    async def create_endpoint(self, network_id: str, endpoint_id: str, interface: EndpointInterface,
                              options: Mapping[str, Any]) -> EndpointInterface:
        found = await self._call("CreateEndpoint", {"NetworkID": network_id, "EndpointID": endpoint_id,
                                                    "Interface": interface, "Options": options}, CreatedEndpoint)
        return found.Interface or EndpointInterface()

    async def delete_endpoint(self, network_id: str, endpoint_id: str, timeout: float = 0) -> None:
        await self._call("DeleteEndpoint", {"NetworkID": network_id, "EndpointID": endpoint_id}, Answer, timeout)

    async def oper_info(self, network_id: str, endpoint_id: str) -> dict[str, Any]:
        """Anything the plugin tells about an endpoint; nothing from one that does not know the method."""
        try:
            found = await self._call("EndpointOperInfo", {"NetworkID": network_id, "EndpointID": endpoint_id}, OperInfo)
        except MethodMissing:
            return {}
        return found.Value

    async def join(self, network_id: str, endpoint_id: str, sandbox_key: str, options: Mapping[str, Any]) -> Joined:
        return await self._call("Join", {"NetworkID": network_id, "EndpointID": endpoint_id, "SandboxKey": sandbox_key,
                                         "Options": options}, Joined)

    async def leave(self, network_id: str, endpoint_id: str, timeout: float = 0) -> None:
        await self._call("Leave", {"NetworkID": network_id, "EndpointID": endpoint_id}, Answer, timeout)

    async def program(self, network_id: str, endpoint_id: str, options: Mapping[str, Any]) -> None:
        """The endpoint is its sandbox's way out: publish its ports. Plugins need not know this."""
        await self._optional("ProgramExternalConnectivity", {"NetworkID": network_id, "EndpointID": endpoint_id,
                                                             "Options": options})

    async def revoke(self, network_id: str, endpoint_id: str) -> None:
        await self._optional("RevokeExternalConnectivity", {"NetworkID": network_id, "EndpointID": endpoint_id})

    async def discover(self, address: str, *, own: bool, gone: bool = False) -> None:
        """A host has come into the cluster, or left it."""
        await self._optional("DiscoverDelete" if gone else "DiscoverNew", {
            "DiscoveryType": NODE_DISCOVERY,
            "DiscoveryData": {"Address": address, "BindAddress": address, "Self": own}})

    async def _optional(self, method: str, request: Mapping[str, Any]) -> None:
        try:
            await self._call(method, request, Answer)
        except MethodMissing:
            pass
