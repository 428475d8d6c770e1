"""What host and none share: nothing is made in the kernel and no address is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from solva.networks.drivers.base import DriverNetwork, Interface, Traits
from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.host import Host
from solva.networks.model import Endpoint, Network, Sandbox
from solva.networks.namespace import Namespace


class BareDriver:
    """See ``NetworkDriver``; a subclass gives the name."""

    name: ClassVar[str]
    traits = Traits(single=True, addresses=False, names=False)

    def __init__(self, host: Host) -> None:
        self._host = host

    def parse(self, network: Network) -> DriverNetwork:
        return DriverNetwork(network)

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        return ""

    async def create_network(self, net: DriverNetwork) -> None:
        return

    async def delete_network(self, net: DriverNetwork) -> None:
        return

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        return Interface()

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        return

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        return True

    def links(self, net: DriverNetwork) -> Sequence[str]:
        return ()

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        return None
