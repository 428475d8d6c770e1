"""What a network driver is.

A driver is stateless: whatever it must remember is in the network's record (``driver_data``) or the endpoint's
(``data``). The core is what ``NetworkDriver`` lists; its ``Traits`` say which of the engine's services it uses, and the
Protocols below it are abilities that a driver may have besides. One suite holds every driver to this
(tests/suites/drivers.py); docs/design/020-network-drivers.md has the whole on half a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from solva.networks.firewall.ruleset import BridgeRules
from solva.networks.ipam.base import Ipam
from solva.networks.model import Endpoint, Network, Peer, PortMapping, PublishedPort, Route, Sandbox
from solva.networks.namespace import Namespace


@dataclass(frozen=True, slots=True)
class Traits:
    """What a driver has to do with.

    ``scope``: local or global (the same network on several hosts). ``single``: one predefined network only, nobody
    creates a second. ``addresses``: the engine gives endpoints addresses, from the network's address management.
    ``gateway``: a network gets a gateway address even if the user names none; ``gateway_of_chosen``: only where the
    engine chose the subnet, and the network is not internal. ``publishes``: ports are published by the
    engine's firewall, ``rules`` says where. ``unpublished``: nobody publishes any, an endpoint is reached at its own
    address. ``names``: the name server serves its networks (not the predefined ones).
    ``outside``: endpoints are known to others than kernel and engine (a plugin), who must hear of the end of each, also
    of those that an engine did not live to finish or the machine did not.
    """

    scope: str = "local"
    single: bool = False
    addresses: bool = True
    gateway: bool = False
    gateway_of_chosen: bool = False
    publishes: bool = False
    unpublished: bool = False
    names: bool = True
    outside: bool = False


@dataclass(frozen=True, slots=True)
class DriverNetwork:
    """A network as its driver sees it: the record, and the options as parsed (a type of the driver's own).

    ``warnings``: for whoever creates it, e.g. of an option that the driver does not know.
    """

    network: Network
    options: Any = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """What ``join`` made; "" or 0 is "none" or "as the endpoint was handed in".

    ``link``: name of the outer end in the host's namespace, where there is one to clear away after a leave.
    ``ifname``, ``mac``, ``ipv4``/``prefix4``, ``ipv6``/``prefix6``: decided by the driver instead of the engine.
    ``gateway4``, ``gateway6``: next hops that the sandbox may take as its way out.
    ``device_route``: the way out is the interface itself, for the IP versions that have an address and no next hop.
    ``routes``: besides those of the addresses; the engine adds them.
    ``configured``: the driver has set addresses and routes and brought the interface up itself. Which endpoint is the
    way out is the engine's choice all the same: a next hop or ``device_route`` must be told here.
    ``needs_gateway``: no way out over this one; the engine joins the sandbox to the gateway network as well, while
    nothing else is a way out.
    ``data``: kept with the endpoint, for ``leave`` and ``restore``.
    """

    link: str = ""
    ifname: str = ""
    mac: str = ""
    ipv4: str = ""
    prefix4: int = 0
    ipv6: str = ""
    prefix6: int = 0
    gateway4: str = ""
    gateway6: str = ""
    device_route: bool = False
    routes: tuple[Route, ...] = ()
    configured: bool = False
    needs_gateway: bool = False
    data: Mapping[str, str] = field(default_factory=dict)


class NetworkDriver(Protocol):
    """``name``: as in the API."""

    @property
    def name(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

    def parse(self, network: Network) -> DriverNetwork:
        """Pure. InvalidParameter for an option or a value that cannot be. Called with and without pools."""
        ...

    def conflict(self, net: DriverNetwork, other: DriverNetwork) -> str:
        """Why ``net`` cannot be beside ``other``, a network of any driver ("" if it can). Pure."""
        ...

    async def create_network(self, net: DriverNetwork) -> None:
        """Idempotent: also called for networks of the store when an engine starts, and to repair. A failed one leaves
        nothing behind."""
        ...

    async def delete_network(self, net: DriverNetwork) -> None:
        """Fine when all is gone already."""
        ...

    async def join(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> Interface:
        """Put an interface named ``endpoint.ifname`` into the namespace, down, with ``endpoint.mac``. Addresses are
        not its business unless the Interface says so. A failed join leaves nothing behind. ``sandbox.endpoints`` are
        those it has already; ``sandbox.config`` has the ports that are wished for."""
        ...

    async def leave(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        """At once: no packet passes any more. The outer link is removed by the engine after the answer. Fine when
        anything, the namespace too, is gone; ``sandbox.netns`` "" says that it is."""
        ...

    async def restore(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> bool:
        """An engine starts: whether the endpoint is as it must be, mended if that can be done. False: it is gone and
        has to join again."""
        ...

    def links(self, net: DriverNetwork) -> Sequence[str]:
        """Names of the host's links that belong to the network itself. Links that carry the engine's alias and are in
        no network's list are removed when an engine starts. Pure."""
        ...

    def rules(self, net: DriverNetwork) -> BridgeRules | None:
        """Its part of the firewall. Pure."""
        ...


class Networks(Protocol):
    """What a driver that goes on working between requests may ask of the engine."""

    def networks(self, driver: str) -> list[DriverNetwork]:
        """Its networks, as known here."""
        ...

    def endpoints(self, network_id: str) -> list[tuple[Sandbox, Endpoint]]:
        """Live endpoints of this host."""
        ...

    async def adopt_network(self, record: Network) -> None:
        """Made on another host: it is a network of this engine from now on; nothing happens if it is already. Raises
        Conflict when its name is taken here."""
        ...

    async def drop_network(self, network_id: str) -> None:
        """Removed on another host; fine when it is not known. Raises Forbidden while a sandbox is on it."""
        ...

    async def set_peers(self, network_id: str, peers: Sequence[Peer]) -> None:
        """The endpoints of other hosts, all of them: what the name server answers besides those of this host."""
        ...


@runtime_checkable
class Runs(Protocol):
    """Has work of its own while the engine runs (watches, leases)."""

    async def start(self, networks: Networks) -> None:
        """Before the networks of the store are created in the kernel. Must not fail for what may come back by itself
        (an unreachable store): then it is retried behind."""
        ...

    async def restored(self) -> None:
        """The sandboxes of before are back: what belongs to none of them can be given back."""
        ...

    async def stop(self) -> None:
        """The engine ends; the kernel's state stays."""
        ...


@runtime_checkable
class AllocatesNetworks(Protocol):
    """Something is decided outside this engine before a network can be (an id, a VXLAN number)."""

    async def allocate_network(self, record: Network) -> Network:
        """The record with what was decided in ``driver_data`` (and ``id``, where another host has made the network
        already). Called after the address pools are there, before ``parse`` and ``create_network``."""
        ...

    async def free_network(self, record: Network) -> None:
        """Takes it back; called after ``delete_network``, or when the creation fails. Forbidden, with the reason, when
        the network is in use elsewhere: then nothing has been removed."""
        ...


@runtime_checkable
class ChoosesGateway(Protocol):
    """Says for each network whether it gets a gateway address (``Traits.gateway`` is for all of them)."""

    async def wants_gateway(self, network: Network) -> tuple[bool, bool]:
        """For IPv4, IPv6; the record has no pools yet."""
        ...


@runtime_checkable
class BringsIpam(Protocol):
    """Addresses of its networks are given by address management of its own, unless the user names another."""

    @property
    def ipam(self) -> Ipam: ...


@runtime_checkable
class PublishesPorts(Protocol):
    """Publishes ports itself (a plugin), when one of its endpoints is the sandbox's way out."""

    async def publish(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox,
                      ports: Sequence[PortMapping]) -> Sequence[PublishedPort]:
        """What is to be shown as published, if the driver knows. Called again when anything about the way out
        changes."""
        ...

    async def unpublish(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None: ...


@runtime_checkable
class FollowsNames(Protocol):
    """Others have to know when an endpoint is called something else."""

    async def renamed(self, net: DriverNetwork, endpoint: Endpoint, sandbox: Sandbox) -> None:
        """``endpoint.dns_names`` and ``sandbox.config`` are the new ones."""
        ...


@runtime_checkable
class SpansHosts(Protocol):
    """Its networks have endpoints on several hosts."""

    def hosts(self, net: DriverNetwork) -> list[tuple[str, str]]:
        """Name and address of each; shown by an inspection as ``Peers``."""
        ...


class PluginFinder(Protocol):
    """Finds what is not built in, by name; None when there is none of that name."""

    async def driver(self, name: str) -> NetworkDriver | None: ...

    async def ipam(self, name: str) -> Ipam | None: ...

    def stand_in(self, name: str) -> NetworkDriver | None:
        """For networks of a plugin that is not there now: they are kept, nothing joins, endpoints that live can
        leave."""
        ...


class NoPlugins:
    """A ``PluginFinder`` that finds nothing."""

    async def driver(self, name: str) -> NetworkDriver | None:
        return None

    async def ipam(self, name: str) -> Ipam | None:
        return None

    def stand_in(self, name: str) -> NetworkDriver | None:
        return None
