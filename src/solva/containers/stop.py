"""stop, kill, restart.

Process 1 of a pid namespace gets no default signal actions: one that neither catches nor ignores the stop signal
cannot react to it, and waiting for it is waiting for nothing. It is killed at once, and the die event says so
(``solvaDeaf``). The rule: the masks are read half a second after the container's start at the earliest (a program
needs a moment to install its handlers; the signal is sent in any case first), and only for a real namespace init:
under --init or in the host's pid namespace the default action works. ``stop_deaf = "wait"`` turns this off.
"""

from __future__ import annotations

import asyncio
import logging
import signal

from solva import faults
from solva.containers import monitor
from solva.containers.core import Core
from solva.containers.model import Container
from solva.containers.signals import number
from solva.errors import Conflict, NotModified
from solva.kernel import pidfd

_log = logging.getLogger(__name__)
GRACE = 10
SETTLING = 0.5


async def stop(core: Core, container: Container, timeout: int | None, signal_name: str) -> None:
    """NotModified when it does not run."""
    async with core.lock(container.id):
        if container.state.status == "restarting":
            monitor.cancel_restart(core, container)
            container.state.stopped_by_user = True
            core.registry.save(container)
            core.event(container, "stop")
            return
        if not container.state.alive:
            raise NotModified(f"container {container.id} is already stopped")
        await halt(core, container, timeout, signal_name)
    core.event(container, "stop")


async def halt(core: Core, container: Container, timeout: int | None, signal_name: str) -> None:
    """With the lock held; returns when everything it held is free."""
    live = core.live.get(container.id)
    if live is None:
        return
    container.state.stopped_by_user = True
    core.registry.save(container)
    faults.point("stop: noted")
    wanted = number(signal_name or container.config.stop_signal or "SIGTERM")
    seconds: float | None = timeout if timeout is not None else (
        container.config.stop_timeout if container.config.stop_timeout is not None else GRACE)
    if seconds is not None and seconds < 0:
        seconds = None
    if container.state.status == "paused":
        await core.runtime.resume(container.id)
        container.state.status = "running"
    core.runtime.kill(container.state.pid, wanted)
    faults.point("stop: signalled")
    core.event(container, "kill", signal=str(wanted))
    if seconds != 0 and wanted != signal.SIGKILL:
        deaf = core.settings.stop_deaf == "kill" and await _deaf(core, container, wanted, live.ended)
        if deaf:
            _log.warning("container %s: process 1 neither catches nor ignores signal %d: killed at once",
                         container.name, wanted)
            core.event(container, "kill", signal="9", solvaDeaf=str(wanted))
            core.runtime.kill(container.state.pid, signal.SIGKILL)
            await live.ended.wait()
            return
        try:
            async with asyncio.timeout(seconds):
                await live.ended.wait()
            return
        except TimeoutError:
            pass
    if not live.ended.is_set():
        core.event(container, "kill", signal="9")
        core.runtime.kill(container.state.pid, signal.SIGKILL)
        await live.ended.wait()


async def _deaf(core: Core, container: Container, wanted: int, ended: asyncio.Event) -> bool:
    """Whether its first process can never react to ``wanted``."""
    age = (core.clock.time_ns() - container.state.started_ns) / 1e9
    if age < SETTLING:
        try:
            async with asyncio.timeout(SETTLING - age):
                await ended.wait()
            return False
        except TimeoutError:
            pass
        core.runtime.kill(container.state.pid, wanted)      # the first one came before any handler could
    pid = container.state.pid
    masks = pidfd.signal_sets(pid) if pid and pidfd.is_namespace_init(pid) else None
    if masks is None:
        return False
    bit = 1 << (wanted - 1)
    return not (masks[0] | masks[1]) & bit


async def kill(core: Core, container: Container, signal_name: str) -> None:
    """Conflict unless it runs."""
    wanted = number(signal_name or "SIGKILL")
    if not container.state.alive:
        raise Conflict(f"container {container.id} is not running")
    if wanted in (signal.SIGKILL, signal.SIGTERM, number(container.config.stop_signal or "SIGTERM")):
        container.state.stopped_by_user = True
        core.registry.save(container)
    if container.state.status == "paused" and wanted == signal.SIGKILL:
        await core.runtime.resume(container.id)
        container.state.status = "running"
    live = core.live.get(container.id)
    core.runtime.kill(container.state.pid, wanted)
    core.event(container, "kill", signal=str(wanted))
    if wanted == signal.SIGKILL and live is not None:
        try:
            async with asyncio.timeout(GRACE):
                await live.ended.wait()
        except TimeoutError:
            _log.warning("container %s: not gone %d s after SIGKILL", container.name, GRACE)


async def restart(core: Core, container: Container, timeout: int | None, signal_name: str) -> None:
    """Stop if it runs, then start."""
    from solva.containers.start import locked

    async with core.lock(container.id):
        monitor.cancel_restart(core, container)
        keep = container.host_config.auto_remove
        container.host_config.auto_remove = False
        try:
            if container.state.alive:
                await halt(core, container, timeout, signal_name)
                core.event(container, "stop")
            container.state.restart_count = 0
            await locked(core, container)
        finally:
            container.host_config.auto_remove = keep
            core.registry.save(container)
    core.event(container, "restart")
