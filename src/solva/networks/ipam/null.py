"""Docker's ``null`` address management: networks without addresses, for containers that find their own (DHCP)."""

from __future__ import annotations

from solva.errors import InvalidParameter
from solva.networks.ipam.base import PoolRequest
from solva.networks.model import Network, Pool


class NullIpam:
    """See ``Ipam``."""

    name = "null"

    async def allocate(self, request: PoolRequest) -> tuple[Pool, ...]:
        if any(pool.subnet or pool.gateway or pool.ip_range or pool.auxiliary_addresses for pool in request.config):
            raise InvalidParameter("null ipam driver does not handle specific address pool requests")
        return ()

    async def restore(self, network: Network) -> None:
        return

    async def forget(self, network: Network) -> None:
        return

    async def take(self, network: Network, version: int, address: str = "", *, mac: str = "") -> tuple[str, int]:
        if address:
            raise InvalidParameter("null ipam driver does not handle specific address requests")
        return "", 0

    async def adopt(self, network: Network, version: int, address: str) -> None:
        return

    async def release(self, network: Network, address: str) -> None:
        return
