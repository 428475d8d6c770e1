"""What networks are made of: the values callers hand in and get back, and the records kept in the store.

Networks know sandboxes (a network namespace and its files) and endpoints (a sandbox's place on one network); what a
container is, they do not know. Addresses are texts without a prefix length; an empty text means none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["bridge", "host", "none"]


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A wish to publish. ``host_port`` 0 is any free one; ``host_port_end`` makes it the first free one of a range.

    ``host_ip`` "" is every address of both families, with one and the same port. ``proto``: tcp, udp, sctp.
    """

    container_port: int
    proto: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port as it is published: one row an address family."""

    container_port: int
    proto: str
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Route:
    """A static route of an endpoint: ``gateway`` "" is on the link."""

    destination: str
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """An endpoint on another host, as the name server needs it. ``names``: as ``Endpoint.dns_names``."""

    names: tuple[str, ...]
    ipv4: str = ""
    ipv6: str = ""


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """What is wanted of a sandbox's place on ``network`` (name or id).

    ``links``: ``target:alias``; private names of this sandbox for others of the network, on the default bridge
    lines in its hosts file.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    gw_priority: int = 0
    links: tuple[str, ...] = ()
    link_local_ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """``--dns``, ``--dns-search``, ``--dns-option``; empty means the engine's, then the host's."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """A network namespace to be made. ``id``: 64 hex digits, the container's; ``name``: its name without a slash.

    ``mode`` "bridge" means endpoints of any driver. The first endpoint becomes eth0. ``exposed``: port and protocol of
    what sandboxes that are linked to this one may call where others may not.
    """

    id: str
    name: str
    hostname: str = ""
    domainname: str = ""
    mode: Mode = "bridge"
    endpoints: tuple[EndpointConfig, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    dns: DnsConfig = DnsConfig()
    extra_hosts: tuple[str, ...] = ()
    exposed: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A sandbox's place on one network, as it is. ``link`` is the end of its link outside the sandbox.

    ``device_route``, ``routes``, ``configured``, ``needs_gateway``, ``data``: as ``drivers.base.Interface`` has them.
    ``is_gateway``: made by the engine, on the gateway network, for others that have no way out of their own.
    """

    id: str
    network_id: str
    network_name: str
    ifname: str = ""
    mac: str = ""
    ipv4: str = ""
    prefix4: int = 0
    gateway4: str = ""
    ipv6: str = ""
    prefix6: int = 0
    gateway6: str = ""
    dns_names: tuple[str, ...] = ()
    link: str = ""
    config: EndpointConfig = EndpointConfig("")
    device_route: bool = False
    routes: tuple[Route, ...] = ()
    configured: bool = False
    needs_gateway: bool = False
    is_gateway: bool = False
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A live sandbox. ``netns``: path of its network namespace, "" where it is the host's."""

    id: str
    netns: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[PublishedPort, ...]
    hosts_path: str
    resolv_conf_path: str
    hostname_path: str
    config: SandboxConfig = SandboxConfig("", "")


@dataclass(frozen=True, slots=True)
class Pool:
    """One subnet of a network. ``given``: the user named it (then ``gateway`` shows only if the user named that too).

    ``gateway`` is the allocated one whoever chose it, "" where the network has none. ``data``: kept for the Ipam.
    """

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    aux: Mapping[str, str] = field(default_factory=dict)
    given: bool = False
    gateway_given: bool = False
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """A network's record, as kept in the store. ``driver_data``: the driver's own, decided when it was created."""

    id: str
    name: str
    driver: str
    created_ns: int
    scope: str = "local"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    pools: tuple[Pool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    predefined: bool = False
    driver_data: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_default_bridge(self) -> bool:
        """The bridge that containers without a network of their own share: no names, no static addresses."""
        return self.predefined and self.driver == "bridge"

    def pool(self, version: int) -> Pool | None:
        """The first subnet of an IP version."""
        for pool in self.pools:
            if (":" in pool.subnet) == (version == 6):
                return pool
        return None
