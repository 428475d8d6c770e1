"""What host and none share: nothing is made in the kernel and no address is given."""

from __future__ import annotations

from typing import ClassVar

from solva.networks.drivers.base import DriverNetwork, Interface
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.model import Endpoint, Network
from solva.networks.namespace import Namespace


class BareDriver:
    """See ``NetworkDriver``; a subclass gives the name."""

    name: ClassVar[str]
    scope: ClassVar[str] = "local"
    single: ClassVar[bool] = True
    addresses: ClassVar[bool] = False
    gateway: ClassVar[bool] = False
    publishes: ClassVar[bool] = False

    def __init__(self, host: Host) -> None:
        self._host = host

    def parse(self, network: Network) -> DriverNetwork:
        return DriverNetwork(network)

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        return f'only one instance of "{self.name}" network is allowed'

    async def create_network(self, net: DriverNetwork) -> None:
        return

    async def delete_network(self, net: DriverNetwork) -> None:
        return

    async def join(self, net: DriverNetwork, endpoint: Endpoint, inside: Namespace) -> Interface:
        return Interface()

    async def leave(self, net: DriverNetwork, endpoint: Endpoint) -> None:
        return

    async def restore(self, net: DriverNetwork, endpoint: Endpoint) -> bool:
        return True

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None
