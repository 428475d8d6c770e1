"""rm and prune."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil

from solva import faults
from solva.containers import leftovers, monitor, state, stop
from solva.containers.core import Core
from solva.containers.model import Container
from solva.errors import Conflict, InvalidParameter, SolvaError
from solva.kernel.files import tree_size

_log = logging.getLogger(__name__)


async def remove(core: Core, container: Container, *, force: bool, volumes: bool) -> None:
    """Conflict for one that runs, unless forced. Everything is tried; what fails leaves it "dead"."""
    async with core.lock(container.id):
        if core.registry.maybe(container.id) is None:
            return
        if container.state.status == "paused" and not force:
            raise Conflict(f'cannot remove container "{container.name}": container is paused and must be unpaused '
                           "first")
        if container.state.running and not force:
            raise Conflict(f'cannot remove container "{container.name}": container is {container.state.status}: '
                           "stop the container before removing or force remove")
        monitor.cancel_restart(core, container)
        if container.state.alive:
            auto, container.host_config.auto_remove = container.host_config.auto_remove, False
            try:
                await stop.halt(core, container, 0, "SIGKILL")
            finally:
                container.host_config.auto_remove = auto
        state.removing(container.state, volumes=volumes)
        core.registry.save(container)
        faults.point("remove: marked")
        await _discard(core, container, volumes)
    core.forget(container.id)
    core.event(container, "destroy")
    result = {"StatusCode": container.state.exit_code}
    monitor.settle(core.removal_waiters, container.id, result)
    monitor.settle(core.exit_waiters, container.id, result)


async def _discard(core: Core, container: Container, volumes: bool) -> None:
    try:
        await core.snapshots.remove(container.id)
    except (SolvaError, OSError) as error:
        state.dead(container.state)
        core.registry.save(container)
        raise SolvaError(f'container {container.id}: driver "overlay2" failed to remove root filesystem: '
                         f"{error}") from error
    faults.point("remove: snapshot")
    await core.networks.detach(container.id)      # kept for others that had joined it
    await asyncio.to_thread(shutil.rmtree, core.paths.data(container.id), True)
    shutil.rmtree(core.paths.bundle(container.id), ignore_errors=True)
    faults.point("remove: files")
    doomed = [point.name for point in container.mounts if volumes and point.type == "volume" and point.anonymous]
    if doomed:
        with core.store.transaction():
            for name in doomed:
                core.store.put(leftovers.DOOMED, name, name)
            core.registry.drop(container)
    else:
        core.registry.drop(container)
    faults.point("remove: forgotten")
    hub = core.hubs.pop(container.id, None)
    if hub is not None:
        hub.finish()
    for name in doomed:
        await leftovers.forget_volume(core, name)


async def prune(core: Core, filters: dict[str, list[str]]) -> tuple[list[str], int]:
    """(ids removed, bytes freed)."""
    for key in filters:
        if key not in ("until", "label", "label!"):
            raise InvalidParameter(f"invalid filter '{key}'")
    limit = _until(core, filters.get("until", []))
    removed: list[str] = []
    freed = 0
    for container in core.registry.all():
        if container.state.running or container.state.status in ("removing", "dead"):
            continue
        if limit and container.created_ns >= limit:
            continue
        labels = container.config.labels
        if not all(_has(labels, text) for text in filters.get("label", [])):
            continue
        if any(_has(labels, text) for text in filters.get("label!", [])):
            continue
        try:
            size = await core.snapshots.usage(container.id)
        except (SolvaError, OSError):
            size = 0
        size += await asyncio.to_thread(tree_size, core.paths.data(container.id))
        await remove(core, container, force=False, volumes=False)
        removed.append(container.id)
        freed += size
    return removed, freed


def _has(labels: dict[str, str], text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in labels and (not equals or labels[name] == value)


def _until(core: Core, values: list[str]) -> int:
    if not values:
        return 0
    if len(values) > 1:
        raise InvalidParameter("more than one until filter specified")
    text = values[0]
    if text.isdigit():
        return int(text) * 1_000_000_000
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if match and any(match.groups()):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return core.clock.time_ns() - (hours * 3600 + minutes * 60 + seconds) * 1_000_000_000
    from solva.clock import parse_rfc3339

    try:
        return parse_rfc3339(text)
    except ValueError:
        raise InvalidParameter(f'failed to parse value as time or duration: "{text}"') from None
