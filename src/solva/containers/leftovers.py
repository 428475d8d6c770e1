"""What an engine that was killed left half done: taken back or carried to its end before the next one answers.

The store decides. What it does not know (a root file system made for a container that was never recorded, a program
that was created for a start that was never noted) goes; what it says is under way (a removal) is finished.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable
from pathlib import Path

import msgspec

from solva.containers.core import Core
from solva.errors import NotFound, SolvaError
from solva.ids import is_id
from solva.kernel import files, strays

KIND = "container-begun"
"""Containers being made, with the anonymous volumes that go if they never come to be."""
DOOMED = "volume-doomed"
"""Anonymous volumes of a container that has been removed with them."""
_log = logging.getLogger(__name__)


class Begun(msgspec.Struct, frozen=True):
    """Stored from before the first step of a creation until its record is."""

    id: str
    volumes: tuple[str, ...] = ()


async def clear(core: Core) -> None:
    """At engine start, with the registry loaded and networks restored."""
    known = {container.id for container in core.registry.all()}
    still = {container.id for container in core.registry.all() if not container.state.running}
    run = core.settings.run_root
    bundles, steps, states = (_names(run / name) for name in ("containers", "build", "crun"))
    unknown = (bundles | states | steps) - known
    halted = {name for name in still if name in bundles or name in states}
    if unknown | halted:      # conmon, or a crun that still creates, of a start that was never noted
        await asyncio.to_thread(strays.end, ("conmon", "crun"), unknown | halted)
    for identifier in sorted(unknown):
        _log.info("%s: the engine before this one left it half made", identifier[:12])
        await _runtime(core, identifier)
        for folder in ("containers", "build"):
            shutil.rmtree(run / folder / identifier, ignore_errors=True)
    await _sandboxes(core, known)
    for identifier in sorted(halted):
        from solva.containers.monitor import discard_bundle, release

        container = core.registry.get(identifier)
        core.runtime.kill_all(core.runtime.cgroup_path(identifier, container.host_config.cgroup_parent))
        await release(core, container)
        discard_bundle(core, container)
    for key in list(core.snapshots.keys()):
        if is_id(key) and key not in known:
            await _tried(core.snapshots.remove(key), key)
    for name in _names(core.settings.data_root / "containers") - known:
        await asyncio.to_thread(files.remove_tree, core.settings.data_root / "containers" / name)
    await _volumes(core, known)


async def _sandboxes(core: Core, known: set[str]) -> None:
    """Those of nobody, and of containers that do not run and that no other has joined."""
    from solva.containers.joined import joiners

    for sandbox_id in core.networks.sandbox_ids():
        container = core.registry.maybe(sandbox_id) if sandbox_id in known else None
        if container is None or not (container.state.running or joiners(core, container)):
            await _tried(core.networks.detach(sandbox_id), sandbox_id)


async def _volumes(core: Core, known: set[str]) -> None:
    for begun in core.store.all(KIND, Begun):
        if begun.id not in known:
            for name in begun.volumes:
                await _tried(core.volumes.remove(name), name)
        core.store.delete(KIND, begun.id)
    for name in core.store.all(DOOMED, str):
        await forget_volume(core, name)


async def forget_volume(core: Core, name: str) -> None:
    """An anonymous volume whose container has been removed with it."""
    try:
        await core.volumes.remove(name, force=False)
    except SolvaError as error:
        _log.info("volume %s stays: %s", name, error)
    core.store.delete(DOOMED, name)


async def _runtime(core: Core, identifier: str) -> None:
    group = core.runtime.cgroup_path(identifier)
    core.runtime.kill_all(group)
    await _tried(core.runtime.delete(identifier, group), identifier)


async def _tried(work: Awaitable[None], what: str) -> None:
    try:
        await work
    except NotFound:
        pass
    except (SolvaError, OSError) as error:
        _log.warning("%s: what a killed engine left stays: %s", what[:12], error)


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir() if is_id(path.name)}
    except FileNotFoundError:
        return set()
