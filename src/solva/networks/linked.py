"""``--link`` on networks whose containers do not reach each other (``enable_icc`` false): what is let through. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from solva.networks.firewall.ruleset import BridgeRules, LinkRule
from solva.networks.model import Sandbox


def link_rules(sandboxes: Iterable[Sandbox], rules: Callable[[str], BridgeRules | None]) -> tuple[LinkRule, ...]:
    """From each live sandbox to the exposed ports of those it is linked to. ``rules``: the firewall's part of a network
    (id), None where nothing is filtered."""
    everybody = list(sandboxes)
    found: dict[LinkRule, None] = {}
    for sandbox in everybody:
        for endpoint in sandbox.endpoints:
            part = rules(endpoint.network_id) if endpoint.config.links else None
            if part is None or part.icc:
                continue
            for link in endpoint.config.links:
                reference = link.partition(":")[0].removeprefix("/")
                for target in everybody:
                    there = next((e for e in target.endpoints if e.network_id == endpoint.network_id), None)
                    if there is None or reference not in (target.config.name, target.id, target.id[:12]):
                        continue
                    for source, address in ((endpoint.ipv4, there.ipv4), (endpoint.ipv6, there.ipv6)):
                        if source and address:
                            found |= dict.fromkeys(LinkRule(source, address, proto, port)
                                                   for port, proto in target.config.exposed)
    return tuple(found)
