"""Docker's ``default`` address management: subnets and addresses of every network, in memory.

Nothing is stored here: a network's record holds its subnets, a sandbox's its addresses, and both are told again to a
new engine (``restore``, ``adopt``).
An allocation waits for the host's routes first and for nothing after that, so that two never see the same subnet free.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence

from solva.api.types.network import IpamPool
from solva.errors import Forbidden, InvalidParameter, SystemFailure
from solva.networks.ipam import subnets
from solva.networks.ipam.addresses import Addresses, IPNetwork
from solva.networks.ipam.base import PoolRequest
from solva.networks.model import Network, Pool


class DefaultIpam:
    """``routed`` gives the prefixes that the host has routes to now: no pool is put over them unasked."""

    def __init__(self, sources: Sequence[subnets.PoolSource], routed: Callable[[], Awaitable[list[IPNetwork]]]) -> None:
        self._sources = tuple(sources)
        self._routed = routed
        self._pools: dict[str, list[Addresses]] = {}
        self._subnets: dict[str, list[IPNetwork]] = {}

    name = "default"

    async def allocate(self, request: PoolRequest) -> tuple[Pool, ...]:
        """The request's subnets, and one of the default pools for a family without."""
        config, ipv4, ipv6 = request.config, request.ipv4, request.ipv6
        subnets.check(config)
        routed = await self._routed()
        wanted = [pool for pool in config if ipv6 or ":" not in pool.subnet]
        wanted = [pool for pool in wanted if ipv4 or ":" in pool.subnet]
        mine: list[IPNetwork] = []
        made: list[tuple[Pool, Addresses]] = []
        for pool in wanted:
            size = subnets.size_only(pool.subnet)
            if size is not None:
                made.append(self._chosen(size, request, [*self._taken(), *mine, *routed]))
                mine.append(ipaddress.ip_network(made[-1][0].subnet))
                continue
            subnet = ipaddress.ip_network(pool.subnet)
            subnets.refuse_overlap(subnet, [*self._taken(), *mine])
            mine.append(subnet)
            made.append(given(pool, subnet, request.wants_gateway(subnet.version)))
        for version, enabled in ((4, ipv4), (6, ipv6)):
            if not enabled or any(subnet.version == version for subnet in mine):
                continue
            made.append(self._chosen((version, None), request, [*self._taken(), *mine, *routed]))
            mine.append(ipaddress.ip_network(made[-1][0].subnet))
        self._pools[request.network_id] = [addresses for _, addresses in made]
        self._subnets[request.network_id] = mine
        return tuple(pool for pool, _ in made)

    def _chosen(self, size: tuple[int, int | None], request: PoolRequest,
                taken: Sequence[IPNetwork]) -> tuple[Pool, Addresses]:
        """A subnet of the pools, of this size or of theirs."""
        version, length = size
        found = (subnets.choose(self._sources, version, taken) if length is None
                 else subnets.choose_sized(self._sources, version, length, taken))
        if found is None:
            raise InvalidParameter(subnets.EXHAUSTED)
        addresses = Addresses(found)
        wanted = request.wants_gateway(version) or request.gateway_of_chosen
        return Pool(str(found), (addresses.first() or "") if wanted else ""), addresses

    async def restore(self, network: Network) -> None:
        self._pools[network.id] = []
        self._subnets[network.id] = []
        for pool in network.pools:
            subnet = ipaddress.ip_network(pool.subnet)
            addresses = Addresses(subnet, ipaddress.ip_network(pool.ip_range) if pool.ip_range else None)
            for address in (pool.gateway, *pool.aux.values()):
                if address:
                    addresses.take(address)
            self._pools[network.id].append(addresses)
            self._subnets[network.id].append(subnet)

    async def forget(self, network: Network) -> None:
        self._pools.pop(network.id, None)
        self._subnets.pop(network.id, None)

    async def adopt(self, network: Network, version: int, address: str) -> None:
        await self.take(network, version, address)

    async def take(self, network: Network, version: int, address: str = "", *, mac: str = "") -> tuple[str, int]:
        mine = [(pool, addresses) for pool, addresses in zip(network.pools, self._pools[network.id], strict=True)
                if (":" in pool.subnet) == (version == 6)]
        if not mine:
            return "", 0
        if address:
            text = str(ipaddress.ip_address(address))
            for _, addresses in mine:
                if text in addresses:
                    addresses.take(text)
                    return text, addresses.prefix
            raise InvalidParameter(f"no configured subnet or ip-range contain the IP address {address}")
        for _, addresses in mine:
            found = addresses.next()
            if found is not None:
                return found, addresses.prefix
        raise SystemFailure(f"no available IPv{version} addresses on this network's address pools: "
                            f"{network.name} ({network.id})")

    async def release(self, network: Network, address: str) -> None:
        for addresses in self._pools.get(network.id, []):
            if address and address in addresses:
                addresses.release(address)

    def _taken(self) -> list[IPNetwork]:
        return [subnet for rows in self._subnets.values() for subnet in rows]


def given(pool: IpamPool, subnet: IPNetwork, gateway: bool) -> tuple[Pool, Addresses]:
    """A subnet that the user names; its gateway and auxiliary addresses taken."""
    addresses = Addresses(subnet, ipaddress.ip_network(pool.ip_range) if pool.ip_range else None)
    chosen = pool.gateway
    if chosen:
        addresses.take(chosen)
    elif gateway:
        chosen = addresses.first() or ""
    for name, address in pool.auxiliary_addresses.items():
        try:
            addresses.take(address)
        except Forbidden as error:
            raise SystemFailure(f"failed to allocate secondary ip address ({name}:{address}): {error}") from None
    record = Pool(subnet=str(subnet), gateway=chosen, ip_range=pool.ip_range, aux=dict(pool.auxiliary_addresses),
                  given=True, gateway_given=bool(pool.gateway))
    return record, addresses
