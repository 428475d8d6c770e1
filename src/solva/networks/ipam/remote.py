"""Addresses from a plugin: Docker's remote IPAM drivers."""

from __future__ import annotations

import ipaddress
import logging
from contextlib import AsyncExitStack

from solva.api.types.network import IpamPool
from solva.errors import SolvaError
from solva.networks.ipam import subnets
from solva.networks.ipam.addresses import IPNetwork
from solva.networks.ipam.base import PoolRequest
from solva.networks.model import Network, Pool
from solva.plugins import ipam as wire
from solva.plugins.errors import MethodMissing, PluginError
from solva.plugins.finder import Plugins
from solva.plugins.ipam import IpamPlugin

POOL, SPACE = "pool_id", "address_space"      # in Pool.data
_log = logging.getLogger(__name__)


class RemoteIpam:
    """See ``Ipam``. Made by ``connect``."""

    def __init__(self, plugins: Plugins, name: str, capabilities: wire.Capabilities) -> None:
        self._plugin = IpamPlugin(plugins, name)
        self._wants_mac = capabilities.RequiresMACAddress
        self._replays = capabilities.RequiresRequestReplay
        self.name = name

    @classmethod
    async def connect(cls, plugins: Plugins, name: str) -> RemoteIpam:
        """PluginError when the plugin does not answer, or not as an IPAM driver."""
        return cls(plugins, name, await IpamPlugin(plugins, name).capabilities())

    async def allocate(self, request: PoolRequest) -> tuple[Pool, ...]:
        subnets.check([pool for pool in request.config if pool.subnet])
        wanted = list(request.config)
        for version, enabled in ((4, request.ipv4), (6, request.ipv6)):
            if enabled and not any((":" in pool.subnet) == (version == 6) for pool in wanted):
                wanted.append(IpamPool("" if version == 4 else "::"))
        space = await self._plugin.local_space()
        async with AsyncExitStack() as undo:
            pools = [await self._pool(space, pool, request, undo) for pool in wanted
                     if (request.ipv6 if ":" in pool.subnet else request.ipv4)]
            undo.pop_all()
        return tuple(pools)

    async def _pool(self, space: str, wanted: IpamPool, request: PoolRequest, undo: AsyncExitStack) -> Pool:
        v6, asked = ":" in wanted.subnet, wanted.subnet if "/" in wanted.subnet else ""
        answer = await self._plugin.request_pool(space, asked, wanted.ip_range, request.options, v6=v6)
        undo.push_async_callback(self._quietly_pool, answer.PoolID)
        subnet = _subnet(answer.Pool, v6)
        if asked and subnet != ipaddress.ip_network(asked):
            raise PluginError(f'plugin "{self.name}" was asked for the pool {asked} and gave {subnet}')
        gateway = wanted.gateway
        offered = answer.Data.get(wire.GATEWAY, "").partition("/")[0]
        if gateway or (request.wants_gateway(6 if v6 else 4) and not offered):
            try:
                gateway = await self._address(answer.PoolID, subnet, gateway, {wire.ADDRESS_TYPE: wire.GATEWAY}, undo)
            except SolvaError as error:
                raise type(error)(f"failed to allocate gateway ({wanted.gateway}): {error}") from error
        elif offered:
            gateway = _inside(offered, subnet)
        for name, address in wanted.auxiliary_addresses.items():
            try:
                await self._address(answer.PoolID, subnet, address, {}, undo)
            except SolvaError as error:
                raise type(error)(f"failed to allocate secondary ip address ({name}:{address}): {error}") from error
        return Pool(subnet=str(subnet), gateway=gateway, ip_range=wanted.ip_range,
                    aux=dict(wanted.auxiliary_addresses), given=bool(asked), gateway_given=bool(wanted.gateway),
                    data={POOL: answer.PoolID, SPACE: space})

    async def _address(self, pool_id: str, subnet: IPNetwork, wanted: str, options: dict[str, str],
                       undo: AsyncExitStack) -> str:
        text = (await self._plugin.request_address(pool_id, wanted, options)).partition("/")[0]
        undo.push_async_callback(self._quietly_address, pool_id, text)
        found = _inside(text, subnet)
        if wanted and found != str(ipaddress.ip_address(wanted)):
            raise PluginError(f'plugin "{self.name}" was asked for {wanted} and gave {found}')
        return found

    async def restore(self, network: Network) -> None:
        if not self._replays:
            return
        try:
            await self._replay(network)
        except SolvaError as error:
            _log.warning("network %s: plugin %s: %s", network.name, self.name, error)

    async def _replay(self, network: Network) -> None:
        for pool in network.pools:
            v6 = ":" in pool.subnet
            await self._plugin.request_pool(pool.data.get(SPACE, ""), pool.subnet, pool.ip_range,
                                            network.ipam_options or {}, v6=v6)
            for address, options in ((pool.gateway, {wire.ADDRESS_TYPE: wire.GATEWAY}),
                                     *((aux, dict[str, str]()) for aux in pool.aux.values())):
                if address:
                    await self._plugin.request_address(pool.data.get(POOL, ""), address, options)

    async def forget(self, network: Network) -> None:
        for pool in network.pools:
            pool_id = pool.data.get(POOL, "")
            for address in (pool.gateway, *pool.aux.values()):
                if address:
                    await self._quietly_address(pool_id, address)
            await self._quietly_pool(pool_id)

    async def take(self, network: Network, version: int, address: str = "", *, mac: str = "") -> tuple[str, int]:
        mine = [pool for pool in network.pools if (":" in pool.subnet) == (version == 6)]
        if address:
            mine = [pool for pool in mine if ipaddress.ip_address(address) in ipaddress.ip_network(pool.subnet)]
        problem: SolvaError | None = None
        for pool in mine:
            subnet = ipaddress.ip_network(pool.subnet)
            try:
                async with AsyncExitStack() as undo:
                    found = await self._address(pool.data.get(POOL, ""), subnet, address,
                                                {wire.MAC: mac} if self._wants_mac and mac else {}, undo)
                    undo.pop_all()
            except SolvaError as error:
                problem = error      # the next pool may have one
                continue
            return found, subnet.prefixlen
        if problem is not None:
            raise problem
        return "", 0

    async def adopt(self, network: Network, version: int, address: str) -> None:
        if self._replays:
            try:
                await self.take(network, version, address)
            except SolvaError as error:      # the endpoint lives, whatever the plugin says
                _log.warning("address %s on %s: plugin %s: %s", address, network.name, self.name, error)

    async def release(self, network: Network, address: str) -> None:
        for pool in network.pools:
            if address and ipaddress.ip_address(address) in ipaddress.ip_network(pool.subnet):
                await self._quietly_address(pool.data.get(POOL, ""), address)
                return

    async def _quietly_address(self, pool_id: str, address: str) -> None:
        try:
            await self._plugin.release_address(pool_id, address)
        except MethodMissing:
            pass
        except SolvaError as error:
            _log.warning("address %s is not given back to plugin %s: %s", address, self.name, error)

    async def _quietly_pool(self, pool_id: str) -> None:
        try:
            await self._plugin.release_pool(pool_id)
        except MethodMissing:
            pass
        except SolvaError as error:
            _log.warning("pool %s is not given back to plugin %s: %s", pool_id, self.name, error)


def _subnet(text: str, v6: bool) -> IPNetwork:
    try:
        found = ipaddress.ip_network(text, strict=False)
        if "/" in text and (found.version == 6) == v6:
            return found
    except ValueError:
        pass
    raise PluginError(f"the pool {text[:100]!r} is no IPv{6 if v6 else 4} subnet")


def _inside(text: str, subnet: IPNetwork) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise PluginError(f"invalid IP address: {text[:100]}") from None
    if found not in subnet:
        raise PluginError(f"the address {found} is not in its pool {subnet}")
    return str(found)
