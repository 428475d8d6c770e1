"""The end of a container: exit code, release of everything it held, events, waiters, restart policy; and adoption of
what runs when an engine starts."""

from __future__ import annotations

import asyncio
import logging as log_records
import shutil
from pathlib import Path
from typing import Any

from solva import faults
from solva.containers import boot_order, health, joined, leftovers, logging, networking, restart_policy, state
from solva.containers.core import Core, Live
from solva.containers.model import Container
from solva.errors import SolvaError
from solva.kernel import mount as kernel_mount
from solva.kernel.pidfd import Watch, start_time
from solva.runtimes import conmon

_log = log_records.getLogger(__name__)
UNKNOWN = 137


def boot_id() -> str:
    """Changes with each boot: pids of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def ended(core: Core, container: Container) -> None:
    """Called when conmon has ended."""
    if not core.closing:
        core.background(_ended(core, container))


async def _ended(core: Core, container: Container) -> None:
    live = core.live.get(container.id)
    if live is None or not container.state.alive:
        return
    bundle = core.paths.bundle(container.id)
    code = conmon.exit_code(bundle, container.id)
    if code is None:      # conmon itself was killed: without it the container has no stdio, so it must not go on
        code = UNKNOWN
    oom = (bundle / "oom").exists()
    if live.health is not None:
        live.health.cancel()
    if oom:
        core.event(container, "oom")
    faults.point("end: seen")
    await release(core, container)
    faults.point("end: released")
    ran_for = (core.clock.time_ns() - container.state.started_ns) / 1e9
    by_user = container.state.stopped_by_user
    state.exited(container.state, exit_code=code, oom=oom, now=core.clock.time_ns())
    hub = core.hubs.pop(container.id, None)
    if hub is not None:
        hub.finish()
    core.live.pop(container.id, None)
    again = restart_policy.should_restart(container.host_config.restart_policy, exit_code=code,
                                          restart_count=container.state.restart_count, stopped_by_user=by_user)
    if again:
        state.restarting(container.state)
    _save(core, container)
    faults.point("end: noted")
    discard_bundle(core, container)
    duration = str(int(ran_for))
    core.event(container, "die", exitCode=str(code), execDuration=duration)
    live.ended.set()
    settle(core.exit_waiters, container.id, {"StatusCode": code})
    if again:
        core.restarts[container.id] = core.background(_restart_later(core, container, ran_for))
    elif container.host_config.auto_remove:
        await auto_remove(core, container)


def _save(core: Core, container: Container) -> None:
    """A full disk must not keep those from knowing who wait; the next engine sees for itself that it has ended."""
    try:
        core.registry.save(container)
    except SolvaError as error:
        _log.error("container %s: %s", container.id[:12], error)


async def release(core: Core, container: Container) -> None:
    """Give back network, mounts and runtime state; everything is tried, failures are logged."""
    bundle = core.paths.bundle(container.id)
    group = core.runtime.cgroup_path(container.id, container.host_config.cgroup_parent)
    work = [core.runtime.delete(container.id, group), core.snapshots.unmount(container.id),
            joined.let_go(core, container)]
    volumes = {point.name for point in container.mounts if point.type == "volume"}
    work += [core.volumes.unmount(name, container.id) for name in volumes]
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, Exception):
            _log.error("container %s: release: %s", container.id[:12], result)
    if (bundle / "shm").exists():
        try:
            kernel_mount.umount(bundle / "shm", kernel_mount.MNT_DETACH)
        except OSError as error:
            _log.error("container %s: %s", container.id[:12], error)


def discard_bundle(core: Core, container: Container) -> None:
    """After the end has been noted: the exit code is in it."""
    shutil.rmtree(core.paths.bundle(container.id), ignore_errors=True)


def settle(waiters: dict[str, list[asyncio.Future[dict[str, Any]]]], container_id: str, result: dict[str, Any]) -> None:
    """Answer everybody who waits."""
    for future in waiters.pop(container_id, ()):
        if not future.done():
            future.set_result(result)


async def auto_remove(core: Core, container: Container) -> None:
    """--rm."""
    from solva.containers.remove import remove

    try:
        await remove(core, container, force=True, volumes=True)
    except SolvaError as error:
        _log.error("container %s: automatic removal: %s", container.id[:12], error)


_delays: dict[str, float] = {}


async def _finish_removal(core: Core, container: Container) -> None:
    from solva.containers.remove import remove

    try:
        await remove(core, container, force=True, volumes=container.state.remove_volumes)
    except SolvaError as error:
        _log.error("container %s: removal: %s", container.id[:12], error)


async def _restart_later(core: Core, container: Container, ran_for: float) -> None:
    from solva.containers.start import locked

    pause = restart_policy.delay(_delays.get(container.id, 0.0), ran_for)
    _delays[container.id] = pause
    await asyncio.sleep(pause)
    async with core.lock(container.id):
        if container.state.status != "restarting" or core.closing:
            return
        core.restarts.pop(container.id, None)
        count = container.state.restart_count
        try:
            await locked(core, container)
        except Exception as error:
            _log.error("container %s: restart: %s", container.id[:12], error)
            return
        container.state.restart_count = count
        core.registry.save(container)


def cancel_restart(core: Core, container: Container) -> None:
    """The user starts, stops or removes it."""
    task = core.restarts.pop(container.id, None)
    _delays.pop(container.id, None)
    if task is not None:
        task.cancel()
    if container.state.status == "restarting":
        state.restart_cancelled(container.state)


async def adopt(core: Core) -> None:
    """At engine start: what still runs is watched again, what ended meanwhile is settled, policies are acted on."""
    core.registry.load()
    await leftovers.clear(core)
    boot = boot_id()
    for container in core.registry.all():
        current = container.state
        if not current.running:
            continue
        if current.alive and current.boot == boot and _rejoin(core, container):
            current.stopped_by_user = False      # a stop that the last engine did not carry out
            networking.agree(core, container)
            continue
        await _settle_absent(core, container, boot)
    again = []
    for container in core.registry.all():
        current = container.state
        if current.alive:
            continue
        if current.status == "removing":
            core.background(_finish_removal(core, container))
            continue
        policy = container.host_config.restart_policy
        started_once = current.started_ns > 0
        if container.host_config.auto_remove and started_once:
            core.background(auto_remove(core, container))
        elif started_once and restart_policy.at_engine_start(
                policy, exit_code=current.exit_code, restart_count=current.restart_count,
                stopped_by_user=current.stopped_by_user):
            again.append(container)
    core.background(_start_by_policy(core, again))


async def _start_by_policy(core: Core, containers: list[Container]) -> None:
    await boot_order.start(core, containers, lambda container: _start_again(core, container))
    await core.networks.release_held()


def _rejoin(core: Core, container: Container) -> bool:
    """Whether its monitor lives."""
    current = container.state
    try:
        command = Path(f"/proc/{current.conmon_pid}/cmdline").read_bytes()
    except OSError:
        return False
    if container.id.encode() not in command or start_time(current.pid) not in (current.pid_start, 0):
        return False
    try:
        watch = Watch(current.conmon_pid, lambda: ended(core, container))
    except ProcessLookupError:
        return False
    live = core.live[container.id] = Live(watch)
    fifo = core.runtime.waiting(container.id)
    if fifo:      # the engine died between create and start
        core.background(_finish_start(core, container))
    logging.begin(core, container, live)
    if health.wanted(container):
        live.health = core.background(health.run(core, container))
    return True


async def _finish_start(core: Core, container: Container) -> None:
    try:
        await core.runtime.start(container.id)
    except conmon.CreateFailed as error:
        _log.error("container %s: %s", container.id[:12], error)
        core.runtime.kill(container.state.pid, 9)


async def _settle_absent(core: Core, container: Container, boot: str) -> None:
    current = container.state
    code = conmon.exit_code(core.paths.bundle(container.id), container.id)
    if current.boot == boot and current.pid and start_time(current.pid) == current.pid_start:
        core.runtime.kill(current.pid, 9)
    oom = (core.paths.bundle(container.id) / "oom").exists()
    await release(core, container)
    was_restarting = current.status == "restarting"
    if not was_restarting:
        state.exited(current, exit_code=UNKNOWN if code is None else code, oom=oom, now=core.clock.time_ns())
        core.event(container, "die", exitCode=str(current.exit_code))
    else:
        current.status = "exited"
    core.registry.save(container)
    discard_bundle(core, container)


async def _start_again(core: Core, container: Container) -> None:
    from solva.containers.start import locked

    async with core.lock(container.id):
        if container.state.alive:
            return
        try:
            await locked(core, container)
        except Exception as error:
            _log.error("container %s: start by its restart policy: %s", container.id[:12], error)
