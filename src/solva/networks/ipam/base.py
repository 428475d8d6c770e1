"""What address management is: who gives subnets to networks and addresses to endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from solva.api.types.network import IpamPool
from solva.networks.model import Network, Pool


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """What a new network wants. ``config``: the user's subnets, perhaps none. ``gateway``: the driver wants a gateway
    address although the user names none (``no_gateway``: except for these IP versions), ``gateway_of_chosen``: only in
    a subnet that is not the user's. ``options``: ``--ipam-opt``; ``network_options``: ``-o``."""

    network_id: str
    name: str
    config: Sequence[IpamPool] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    network_options: Mapping[str, str] = field(default_factory=dict)
    ipv4: bool = True
    ipv6: bool = False
    gateway: bool = False
    gateway_of_chosen: bool = False
    no_gateway: tuple[int, ...] = ()

    def wants_gateway(self, version: int) -> bool:
        return self.gateway and version not in self.no_gateway


class Ipam(Protocol):
    """Errors are Docker's: InvalidParameter for what cannot be, Forbidden for an overlap, SystemFailure when nothing is
    free. What it must remember of a pool is in ``Pool.data``. Calls for different networks may overlap in time."""

    @property
    def name(self) -> str: ...

    async def allocate(self, request: PoolRequest) -> tuple[Pool, ...]:
        """Subnets of a new network, gateway and auxiliary addresses taken. All of it or nothing."""
        ...

    async def restore(self, network: Network) -> None:
        """An engine starts: the network is one of the store."""
        ...

    async def forget(self, network: Network) -> None:
        """The network is gone. Fine when it was not known."""
        ...

    async def take(self, network: Network, version: int, address: str = "", *, mac: str = "") -> tuple[str, int]:
        """An address for an endpoint and its prefix length: the one named, or any; ("", 0) where the network has no
        pool of this IP version."""
        ...

    async def adopt(self, network: Network, version: int, address: str) -> None:
        """An engine starts: a live endpoint has this address. Forbidden when it is another's."""
        ...

    async def release(self, network: Network, address: str) -> None:
        """Fine when address or network are gone, and for ""."""
        ...
