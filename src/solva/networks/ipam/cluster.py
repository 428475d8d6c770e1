"""Address management of overlay networks: subnets and addresses are taken in etcd, the same for all hosts."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence

from solva.cluster.membership import Membership
from solva.cluster.rows import NetworkRow
from solva.errors import Conflict, InvalidParameter, SystemFailure, Unavailable
from solva.networks.ipam import subnets
from solva.networks.ipam.addresses import TAKEN, IPNetwork
from solva.networks.ipam.base import PoolRequest
from solva.networks.ipam.default import given
from solva.networks.model import Network, Pool

SOURCES = (subnets.PoolSource("10.0.0.0/8", 24),)
"""As Docker's for swarm networks; the first piece is left out there, too (its ingress network)."""
_FIRST = ipaddress.ip_network("10.0.0.0/24")

NO_CLUSTER = (
    "This node is not a swarm manager: overlay networks need a cluster, that is an etcd which all hosts reach. Start "
    'the engine of each host with "solva engine run --cluster etcd://HOST:2379 --advertise ADDRESS" (or url and '
    "advertise in the table [cluster] of /etc/solva/engine.toml) and try again.")

Number = Callable[[Mapping[str, str], Mapping[str, NetworkRow]], int]


class ClusterIpam:
    """``number`` chooses a network's VXLAN number by its options, in one transaction with its subnets. ``routed``:
    prefixes that this host has routes to."""

    name = "default"

    def __init__(self, membership: Membership | None, number: Number,
                 routed: Callable[[], Awaitable[list[IPNetwork]]]) -> None:
        self._membership = membership
        self._number = number
        self._routed = routed

    @property
    def cluster(self) -> Membership:
        """Unavailable where the engine is in no cluster."""
        if self._membership is None:
            raise Unavailable(NO_CLUSTER)
        return self._membership

    async def allocate(self, request: PoolRequest) -> tuple[Pool, ...]:
        """The request's subnets, or free ones; with them the name and the number are reserved."""
        cluster = self.cluster
        subnets.check(request.config)
        underlay = [ipaddress.ip_network(host.address) for host in cluster.state.hosts.values()]
        routed = await self._routed()
        made: list[Pool] = []

        def choose(networks: Mapping[str, NetworkRow]) -> NetworkRow:
            if any(row.name == request.name for row in networks.values()):
                raise Conflict(f"network with name {request.name} already exists")
            taken = [ipaddress.ip_network(subnet) for row in networks.values() for subnet in row.subnets]
            made[:] = _pools(request, [*taken], underlay, routed)
            return NetworkRow(name=request.name, vni=self._number(request.network_options, networks), pending=True,
                              subnets=tuple(pool.subnet for pool in made), host=cluster.config.host)

        await cluster.reserve(request.network_id, choose)
        return tuple(made)

    async def restore(self, network: Network) -> None:
        return

    async def forget(self, network: Network) -> None:
        """They go with the network (``OverlayDriver.free_network``), or with its creation, if that fails."""
        if self._membership is not None and self._membership.reserved(network.id) is not None:
            await self._membership.remove(network.id)

    async def take(self, network: Network, version: int, address: str = "", *, mac: str = "") -> tuple[str, int]:
        pools = [pool for pool in network.pools if (":" in pool.subnet) == (version == 6)]
        if not pools:
            return "", 0
        if address:
            return await self._take_named(network, pools, address)
        last = ""
        for pool in pools:
            found = await self.cluster.take_next(network.id, version, lambda taken, last, pool=pool: following(  # type: ignore[misc]
                pool, taken, last))
            if found is not None:
                return found, ipaddress.ip_network(pool.subnet).prefixlen
            last = pool.subnet
        raise SystemFailure(f"no available IPv{version} addresses on this network's address pools: {network.name} "
                            f"({network.id}); the last one tried is {last}")

    async def _take_named(self, network: Network, pools: Sequence[Pool], address: str) -> tuple[str, int]:
        ip = ipaddress.ip_address(address)
        for pool in pools:
            subnet = ipaddress.ip_network(pool.subnet)
            if ip in subnet:
                if str(ip) in _reserved(pool) or not await self.cluster.take(network.id, str(ip)):
                    raise SystemFailure(TAKEN)
                return str(ip), subnet.prefixlen
        raise InvalidParameter(f"no configured subnet or ip-range contain the IP address {address}")

    async def adopt(self, network: Network, version: int, address: str) -> None:
        """The agent has kept it, or takes it again."""

    async def release(self, network: Network, address: str) -> None:
        if address and self._membership is not None:
            await self._membership.release(network.id, address)


def _reserved(pool: Pool) -> set[str]:
    """What no endpoint gets."""
    subnet = ipaddress.ip_network(pool.subnet)
    found = {pool.gateway, *pool.aux.values()} - {""}
    if subnet.version == 4 and subnet.prefixlen < 31:
        found |= {str(subnet[0]), str(subnet[-1])}
    elif subnet.version == 6 and subnet.prefixlen < 127:
        found.add(str(subnet[0]))
    return {str(ipaddress.ip_address(address)) for address in found}


def following(pool: Pool, taken: set[str], last: str) -> str | None:
    """The next free address of a pool after ``last``, from the beginning if there is none behind; None when all are
    taken. Pure."""
    source = ipaddress.ip_network(pool.ip_range or pool.subnet)
    first, end = int(source[0]), int(source[-1])
    busy = {int(ipaddress.ip_address(address)) for address in taken | _reserved(pool)
            if ipaddress.ip_address(address) in source}
    after = int(ipaddress.ip_address(last)) if last and ipaddress.ip_address(last) in source else first - 1
    make = ipaddress.IPv4Address if source.version == 4 else ipaddress.IPv6Address
    for start, stop in ((after + 1, end), (first, after)):
        value = start
        while value <= stop:
            if value not in busy:
                return str(make(value))
            value += 1
    return None


def _pools(request: PoolRequest, taken: Sequence[IPNetwork], underlay: Sequence[IPNetwork],
           routed: Sequence[IPNetwork]) -> list[Pool]:
    """The user's subnets, and for a version without one the first free one, best where this host has no route to."""
    wanted = [pool for pool in request.config if (request.ipv6 if ":" in pool.subnet else request.ipv4)]
    mine: list[IPNetwork] = []
    found: list[Pool] = []
    for pool in wanted:
        subnet = ipaddress.ip_network(pool.subnet)
        subnets.refuse_overlap(subnet, [*taken, *mine])
        mine.append(subnet)
        found.append(given(pool, subnet, request.wants_gateway(subnet.version))[0])
    sources = (*SOURCES, subnets.unique_local("overlay"))
    for version, enabled in ((4, request.ipv4), (6, request.ipv6)):
        if not enabled or any(subnet.version == version for subnet in mine):
            continue
        apart = [*taken, *mine, *underlay, _FIRST]
        chosen = subnets.choose(sources, version, [*apart, *routed]) or subnets.choose(sources, version, apart)
        if chosen is None:
            raise InvalidParameter(subnets.EXHAUSTED)
        mine.append(chosen)
        found.append(Pool(str(chosen), str(chosen[1]) if request.wants_gateway(version) else ""))
    return found
