"""What the name server is told of a sandbox. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from solva.dns.state import NamedEndpoint, SandboxNames, Upstream, peers_id
from solva.networks import files, gateway
from solva.networks.files import Resolver
from solva.networks.model import EndpointConfig, Network, Peer, Sandbox, SandboxConfig

MAX_SERVERS = 3


def dns_names(config: SandboxConfig, endpoint: EndpointConfig) -> tuple[str, ...]:
    """Container name, aliases, short id, host name; each once."""
    wanted = (config.name, *endpoint.aliases, config.id[:12], config.hostname)
    return tuple(dict.fromkeys(name for name in wanted if name))


def sandbox_names(sandbox: Sandbox, host: Resolver, named: Callable[[str], bool]) -> SandboxNames:
    """``named``: whether a network (id) has a name service."""
    dns = sandbox.config.dns
    servers = dns.servers or host.servers or files.FALLBACK
    options = dns.options or host.options
    endpoints = tuple(
        NamedEndpoint(network_id=e.network_id, network_name=e.network_name, ipv4=e.ipv4, ipv6=e.ipv6,
                      names=e.dns_names, links=_links(e.config))
        for e in sandbox.endpoints if named(e.network_id))
    external = any(gateway.choose(sandbox.endpoints, version) is not None for version in (4, 6))
    return SandboxNames(
        id=sandbox.id, netns=sandbox.netns, name=sandbox.config.name, endpoints=endpoints,
        upstreams=tuple(Upstream(address=server, from_host=not dns.servers) for server in servers[:MAX_SERVERS]),
        external=external,
        ndots_set=any(o.startswith("ndots:") and o[6:].isdigit() and int(o[6:]) > 0 for o in options))


def peer_names(network: Network, peers: Sequence[Peer]) -> SandboxNames:
    """Names without anybody who asks: no namespace, so that nothing is bound for them."""
    return SandboxNames(id=peers_id(network.id), netns="", name=f"other hosts on {network.name}", endpoints=tuple(
        NamedEndpoint(network_id=network.id, network_name=network.name, ipv4=peer.ipv4, ipv6=peer.ipv6,
                      names=peer.names) for peer in peers))


def _links(config: EndpointConfig) -> dict[str, str]:
    found = {}
    for link in config.links:
        target, _, alias = link.partition(":")
        found[alias or target] = target
    return found
