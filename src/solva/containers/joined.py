"""Containers in one network namespace (``--network container:X``): it lives while X or one that joined it does.

X may end and start again meanwhile: it finds its namespace, interfaces and addresses as they were, and so do the
others.
"""

from __future__ import annotations

from solva.containers.core import Core
from solva.containers.model import Container

_PREFIX = "container:"


def joiners(core: Core, container: Container) -> list[Container]:
    """Live containers that use its network namespace."""
    mode = _PREFIX + container.id
    return [other for other in core.registry.all() if other.host_config.network_mode == mode and other.state.alive]


async def let_go(core: Core, container: Container) -> None:
    """It has ended, or its start has failed: nothing of the network stays that nobody uses."""
    mode = container.host_config.network_mode
    if not mode.startswith(_PREFIX):
        if not joiners(core, container):
            await core.networks.detach(container.id)
        return
    owner = core.registry.maybe(mode.removeprefix(_PREFIX))
    if owner is None or owner.state.alive or core.networks.sandbox(owner.id) is None:
        return
    async with core.lock(owner.id):
        if not owner.state.alive and not any(other is not container for other in joiners(core, owner)):
            await core.networks.detach(owner.id)
