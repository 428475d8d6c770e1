"""What a network driver is.

A driver is stateless: whatever it must remember is in the network's record. The core is five methods; the attributes
say which of the optional things it has to do with. One suite holds every driver to this (tests/suites/drivers.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.model import Endpoint, Network
from solva.networks.namespace import Namespace


@dataclass(frozen=True, slots=True)
class DriverNetwork:
    """A network as its driver sees it: the record, and the options as parsed (a type of the driver's own)."""

    network: Network
    options: Any = None


@dataclass(frozen=True, slots=True)
class Interface:
    """What ``join`` made: ``link`` is the outer end's name ("" where there is none to clear away); ``gateway4`` and
    ``gateway6`` the next hops that the sandbox may take as its way out ("" for none)."""

    link: str = ""
    gateway4: str = ""
    gateway6: str = ""


class NetworkDriver(Protocol):
    """``name``: as in the API. ``scope``: local or global."""

    name: ClassVar[str]
    scope: ClassVar[str]
    single: ClassVar[bool]
    """One predefined network only; nobody creates a second."""
    addresses: ClassVar[bool]
    """Endpoints get addresses from the engine's address management."""
    gateway: ClassVar[bool]
    """A network gets a gateway address even if the user names none."""
    publishes: ClassVar[bool]
    """Ports of its endpoints can be published on the host."""

    def parse(self, network: Network) -> DriverNetwork:
        """Pure. InvalidParameter for a value that cannot be."""
        ...

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        """Why the two cannot both be, "" if they can. Pure."""
        ...

    async def create_network(self, net: DriverNetwork) -> None:
        """Idempotent: also called for networks of the store when an engine starts."""
        ...

    async def delete_network(self, net: DriverNetwork) -> None:
        """Fine when all is gone already."""
        ...

    async def join(self, net: DriverNetwork, endpoint: Endpoint, inside: Namespace) -> Interface:
        """Put an interface named ``endpoint.ifname`` into the namespace, down, with ``endpoint.mac``. Addresses are
        not its business. A failed join leaves nothing behind."""
        ...

    async def leave(self, net: DriverNetwork, endpoint: Endpoint) -> None:
        """At once: no packet passes any more. The link itself is removed after the answer. Fine when it is gone."""
        ...

    async def restore(self, net: DriverNetwork, endpoint: Endpoint) -> bool:
        """An engine starts: whether the endpoint's link is as it must be, mended if that can be done. False: it is
        gone and has to join again."""
        ...

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        """Its part of the firewall. Pure."""
        ...
