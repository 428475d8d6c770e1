"""Which containers start before which when an engine starts them by their policies: after a reboot, all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from graphlib import CycleError, TopologicalSorter

from solva.containers.core import Core
from solva.containers.model import Container

_PROJECT, _SERVICE, _DEPENDS_ON = (f"com.docker.compose.{name}" for name in ("project", "service", "depends_on"))
HEALTHY_WITHIN = 120.0
"""Seconds that a container waits for the health of one it depends on; then it starts all the same."""
_log = logging.getLogger(__name__)


def dependencies(containers: Iterable[Container]) -> dict[str, dict[str, bool]]:
    """Of each id: the ids among ``containers`` that start before it, and whether they must be healthy first. Compose's
    depends_on, links, and the containers whose namespaces it joins. A circle counts for nothing."""
    every = list(containers)
    names = {name: each for each in every for name in (each.id, each.name)}
    found = {each.id: _of(each, every, names) for each in every}
    try:
        TopologicalSorter({key: list(rows) for key, rows in found.items()}).prepare()
    except CycleError as error:
        _log.warning("containers that wait for one another are started at once: %s", " ".join(error.args[1]))
        circle = set(error.args[1])
        found = {key: {} if key in circle else rows for key, rows in found.items()}
        return found if not _circular(found) else {key: {} for key in found}
    return found


def _circular(found: dict[str, dict[str, bool]]) -> bool:
    try:
        TopologicalSorter({key: list(rows) for key, rows in found.items()}).prepare()
    except CycleError:
        return True
    return False


def _of(container: Container, every: list[Container], names: dict[str, Container]) -> dict[str, bool]:
    labels, host = container.config.labels, container.host_config
    found: dict[str, bool] = {}
    for row in labels.get(_DEPENDS_ON, "").split(","):
        service, _, rest = row.partition(":")
        for other in every:
            if service and other.config.labels.get(_SERVICE) == service and (
                    other.config.labels.get(_PROJECT) == labels.get(_PROJECT)):
                found[other.id] = rest.startswith("service_healthy")
    wanted = [mode.removeprefix("container:") for mode in (host.network_mode, host.pid_mode, host.ipc_mode)
              if mode.startswith("container:")]
    wanted += [link.partition(":")[0].removeprefix("/") for link in host.links]
    for reference in wanted:
        if reference in names:
            found.setdefault(names[reference].id, False)
    found.pop(container.id, None)
    return found


async def start(core: Core, containers: list[Container], begin: Callable[[Container], Awaitable[None]]) -> None:
    """``begin`` each, side by side, but none before those it depends on have been begun. One that does not start holds
    up nobody: what depends on it is started and sees for itself, as after a reboot under Docker."""
    wants = dependencies(containers)
    begun = {container.id: asyncio.Event() for container in containers}

    async def one(container: Container) -> None:
        try:
            for identifier, healthy in wants[container.id].items():
                await begun[identifier].wait()
                if healthy:
                    await _health(core, identifier)
            await begin(container)
        finally:
            begun[container.id].set()

    async with asyncio.TaskGroup() as group:
        for container in containers:
            group.create_task(one(container))


async def _health(core: Core, identifier: str) -> None:
    live = core.live.get(identifier)
    if live is None or live.health is None:
        return
    ways = [asyncio.ensure_future(live.judged.wait()), asyncio.ensure_future(live.ended.wait())]
    try:
        await asyncio.wait(ways, timeout=HEALTHY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
