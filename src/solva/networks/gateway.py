"""Which endpoint a sandbox's default route goes through, per IP version. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from solva.networks.model import Endpoint


def choose(endpoints: Sequence[Endpoint], version: int) -> Endpoint | None:
    """Highest gateway priority; then both versions before one; then the network's name. None: no way out.

    Endpoints of internal networks carry no gateway, so they never come into question. One on the gateway network is
    there because the others lead nowhere.
    """
    fit = [endpoint for endpoint in endpoints if leads_out(endpoint, version)]
    return min(fit, key=_order, default=None)


def leads_out(endpoint: Endpoint, version: int) -> bool:
    """Whether an endpoint has a next hop, or is a way out by itself."""
    hop, address = (endpoint.gateway4, endpoint.ipv4) if version == 4 else (endpoint.gateway6, endpoint.ipv6)
    return bool(hop) or (endpoint.device_route and bool(address))


def wanted(endpoints: Sequence[Endpoint]) -> bool:
    """Whether the sandbox has to be on the gateway network: somebody needs it, and nobody else leads out."""
    return (any(endpoint.needs_gateway for endpoint in endpoints)
            and not any(leads_out(endpoint, version) for endpoint in endpoints if not endpoint.is_gateway
                        for version in (4, 6)))


def _order(endpoint: Endpoint) -> tuple[int, int, str]:
    both = leads_out(endpoint, 4) and leads_out(endpoint, 6)
    return (-endpoint.config.gw_priority, 0 if both else 1, endpoint.network_name)
