"""Which endpoint a sandbox's default route goes through, per IP version. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from solva.networks.model import Endpoint


def choose(endpoints: Sequence[Endpoint], version: int) -> Endpoint | None:
    """Highest gateway priority; then both versions before one; then the network's name. None: no way out.

    Endpoints of internal networks carry no gateway, so they never come into question.
    """
    fit = [endpoint for endpoint in endpoints if (endpoint.gateway4 if version == 4 else endpoint.gateway6)]
    return min(fit, key=_order, default=None)


def _order(endpoint: Endpoint) -> tuple[int, int, str]:
    both = bool(endpoint.gateway4) and bool(endpoint.gateway6)
    return (-endpoint.config.gw_priority, 0 if both else 1, endpoint.network_name)
