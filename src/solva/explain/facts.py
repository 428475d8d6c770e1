"""What a reachability question is answered from: facts about two ends and the machine between them. Values, no I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from solva.networks.firewall.foreign import Obstacle
from solva.networks.firewall.matching import Packet
from solva.networks.firewall.ruleset import BridgeRules

Kind = Literal["container", "host", "lan", "internet", "address", "unknown"]


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket that takes connections (UDP: packets). ``address`` 0.0.0.0 and :: are all."""

    proto: str
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}/{self.proto}"


@dataclass(frozen=True, slots=True)
class Published:
    """A published port, and where it leads."""

    proto: str
    host_ip: str
    host_port: int
    port: int
    container: str = ""
    address: str = ""

    def __str__(self) -> str:
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{host}:{self.host_port} -> {self.port}/{self.proto}"


@dataclass(frozen=True, slots=True)
class Place:
    """A container's place on a network. ``bridge`` "" where the driver has none; ``attached``: the link is there and
    its outer end is a port of the bridge; ``gateway``: it is a way out; ``host_access``: the host has a link of its
    own to it, where the kernel would keep them apart (macvlan); ``subnets``: the network's, CIDR; ``linked``: address,
    protocol and port of what links let it call where containers are kept apart."""

    network: str
    driver: str
    ifname: str = ""
    ipv4: str = ""
    ipv6: str = ""
    bridge: str = ""
    bridge_up: bool = True
    attached: bool = True
    gateway: bool = False
    named: bool = True
    internal: bool = False
    rules: BridgeRules | None = None
    host_addresses: tuple[str, ...] = ()
    mode: str = ""
    host_access: bool = False
    linked: tuple[tuple[str, str, int], ...] = ()
    subnets: tuple[str, ...] = ()

    def address(self, version: int) -> str:
        return self.ipv4 if version == 4 else self.ipv6


@dataclass(frozen=True, slots=True)
class Party:
    """One end. ``asked``: the word it was named by; ``address``: where that is an address, or what it resolved to.

    ``state``: of a container, Docker's word; ``mode``: bridge, host, none. ``resolved``: what the first end's resolver
    says of ``asked``, None where nobody was asked. ``near``: names that look like an unknown one.
    ``shares``: the container whose network namespace it has joined.
    """

    kind: Kind
    asked: str
    name: str = ""
    address: str = ""
    state: str = "running"
    exit_code: int = 0
    mode: str = "bridge"
    places: tuple[Place, ...] = ()
    published: tuple[Published, ...] = ()
    listeners: tuple[Listener, ...] = ()
    resolved: tuple[str, ...] | None = None
    near: tuple[str, ...] = ()
    shares: str = ""

    def __str__(self) -> str:
        return self.name or self.asked


@dataclass(frozen=True, slots=True)
class Machine:
    """The host. ``uplink``: the interface of the default route; ``bridged``: packets between two ports of one bridge
    pass the firewall's forward chains; ``table``: our rules are in the kernel; ``holders``: the containers behind the
    port that is asked about; those that end in 6: the same for IPv6; ``stop``: what of other programs' rules stops a
    packet."""

    addresses: tuple[str, ...]
    uplink: str
    uplink_address: str
    default_route: bool
    forwarding: bool
    bridged: bool
    table: bool
    published: tuple[Published, ...]
    listeners: tuple[Listener, ...]
    holders: Mapping[str, Party]
    stop: Callable[[Packet], Obstacle | None]
    uplink6: str = ""
    default_route6: bool = False
    forwarding6: bool = False

    def outer(self, version: int) -> str:
        """An address of this host that other machines call, "" for none of that version."""
        return self.uplink_address if version == 4 else self.uplink6

    def forwards(self, version: int) -> bool:
        return self.forwarding if version == 4 else self.forwarding6


@dataclass(frozen=True, slots=True)
class Question:
    """From whom to whom. ``port`` 0: whichever."""

    source: Party
    target: Party
    port: int = 0
    proto: str = "tcp"


@dataclass(frozen=True, slots=True)
class Step:
    """``stage``: state, names, address, route, bridge, rules, listener. ``verdict``: ok, fails, unknown."""

    stage: str
    verdict: Literal["ok", "fails", "unknown"]
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """``cause`` and ``mend`` are empty where it is reachable. ``address``, ``port``: what a packet would be sent to
    ("" and 0 where it did not come to that)."""

    reachable: bool
    steps: tuple[Step, ...]
    cause: str = ""
    mend: str = ""
    address: str = ""
    port: int = 0


def loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def unspecified(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_unspecified
