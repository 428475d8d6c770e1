"""pause, unpause, rename, resize, update."""

from __future__ import annotations

import os

from solva.api.types.container import Resources, UpdateConfig
from solva.containers import limits, restart_policy
from solva.containers.core import Core
from solva.containers.create import _swap_accounting
from solva.containers.model import Container
from solva.errors import Conflict, InvalidParameter, SystemFailure
from solva.ids import check_container_name
from solva.kernel.pidfd import start_time
from solva.runtimes import conmon


async def pause(core: Core, container: Container) -> None:
    async with core.lock(container.id):
        if container.state.status == "paused":
            raise Conflict(f"Container {container.id} is already paused")
        core.must_run(container)
        try:
            await core.runtime.pause(container.id)
        except SystemFailure:
            if start_time(container.state.pid) == container.state.pid_start:
                raise
            raise Conflict(f"container {container.id} is not running") from None     # it ended at this moment
        container.state.status = "paused"
        core.registry.save(container)
    core.event(container, "pause")


async def unpause(core: Core, container: Container) -> None:
    async with core.lock(container.id):
        if container.state.status != "paused":
            raise Conflict(f"Container {container.id} is not paused")
        await core.runtime.resume(container.id)
        container.state.status = "running"
        core.registry.save(container)
    core.event(container, "unpause")


async def rename(core: Core, container: Container, name: str) -> None:
    if not name:
        raise InvalidParameter("Neither old nor new names may be empty")
    try:
        bare = check_container_name(name)
    except InvalidParameter:
        raise InvalidParameter(f"Error when allocating new name: Invalid container name (/{name.removeprefix('/')}), "
                               "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed") from None
    old = container.name
    if bare == old:
        raise InvalidParameter("Renaming a container with the same name as its current name")
    core.registry.reserve(bare, container.id)
    try:
        if container.state.alive:
            await core.networks.rename(container.id, bare)
    except BaseException:
        core.registry.release(bare)
        raise
    container.name = bare
    core.registry.release(old)
    core.registry.save(container)
    core.event(container, "rename", oldName=f"/{old}")


def resize(core: Core, container: Container, height: int, width: int) -> None:
    core.must_run(container)
    if not container.config.tty:
        return
    try:
        conmon.resize(core.paths.bundle(container.id), height, width)
    except OSError as error:
        raise SystemFailure(f"cannot resize the terminal of {container.name}: {error.strerror}") from error
    core.event(container, "resize", height=str(height), width=str(width))


async def update(core: Core, container: Container, body: UpdateConfig) -> list[str]:
    """Only what is given (not zero) changes."""
    host = container.host_config
    if body.restart_policy is not None and body.restart_policy.name:
        restart_policy.check(body.restart_policy, auto_remove=host.auto_remove)
    fresh = Resources(**{name: getattr(host, name) for name in Resources.__struct_fields__})
    blank = Resources()
    for name in Resources.__struct_fields__:
        value = getattr(body, name)
        if value != getattr(blank, name):
            setattr(fresh, name, value)
    if body.memory and not body.memory_swap and 0 < host.memory_swap < body.memory:
        raise Conflict("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at "
                       "the same time")
    warnings = limits.check(fresh, swap_accounting=_swap_accounting(core.runtime.layout), cpus=os.cpu_count() or 1)
    async with core.lock(container.id):
        if container.state.alive:
            wanted = limits.resources(fresh, core.runtime.layout.version)
            if body.pids_limit is not None and body.pids_limit <= 0:
                wanted["pids"] = {"limit": -1}
            if wanted:
                await core.runtime.update(container.id, wanted)
        for name in Resources.__struct_fields__:
            setattr(host, name, getattr(fresh, name))
        if body.restart_policy is not None and body.restart_policy.name:
            host.restart_policy = body.restart_policy
        core.registry.save(container)
    core.event(container, "update")
    return warnings
