"""What all verbs share: the collaborators, the containers, and the live part of each (monitor, attached clients)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solva.clock import Clock
from solva.containers.collaborators import Images, Networks, Snapshots, Volumes
from solva.containers.model import Container, Paths, Registry
from solva.errors import Conflict
from solva.events.bus import EventBus
from solva.kernel.pidfd import Watch
from solva.runtimes.crun import Crun
from solva.runtimes.seccomp import Profiles
from solva.store.sqlite import Store

if TYPE_CHECKING:
    from solva.containers.attach import Hub


@dataclass(slots=True)
class Live:
    """The part of a running container that is not stored."""

    watch: Watch
    ended: asyncio.Event = field(default_factory=asyncio.Event)   # exited and everything released
    health: asyncio.Task[None] | None = None
    judged: asyncio.Event = field(default_factory=asyncio.Event)   # its health is no longer "starting"


@dataclass(frozen=True, slots=True)
class Settings:
    """``stop_deaf``: "kill" or "wait" (see stop.py)."""

    data_root: Path
    run_root: Path
    stop_deaf: str = "kill"


class Core:
    """One an engine."""

    def __init__(self, settings: Settings, store: Store, bus: EventBus, clock: Clock, runtime: Crun,
                 networks: Networks, snapshots: Snapshots, images: Images, volumes: Volumes) -> None:
        self.settings = settings
        self.paths = Paths(settings.data_root, settings.run_root)
        self.bus, self.clock, self.runtime = bus, clock, runtime
        self.networks, self.snapshots, self.images, self.volumes = networks, snapshots, images, volumes
        self.store = store
        self.registry = Registry(store)
        self.profiles = Profiles(settings.data_root / "cache")
        self.live: dict[str, Live] = {}
        self.hubs: dict[str, Hub] = {}
        self.restarts: dict[str, asyncio.Task[None]] = {}
        self.exit_waiters: dict[str, list[asyncio.Future[dict[str, Any]]]] = {}
        self.removal_waiters: dict[str, list[asyncio.Future[dict[str, Any]]]] = {}
        self.closing = False
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def lock(self, container_id: str) -> asyncio.Lock:
        """Held by the verbs that change a container's state."""
        return self._locks.setdefault(container_id, asyncio.Lock())

    def forget(self, container_id: str) -> None:
        self._locks.pop(container_id, None)

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that outlives the request it came from; ``close`` cancels what is left."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def event(self, container: Container, action: str, **attributes: str) -> None:
        self.bus.publish("container", action, container.id, {**container.event_attributes, **attributes})

    def must_run(self, container: Container) -> None:
        """Conflict in Docker's words unless the container has a process."""
        if not container.state.alive:
            raise Conflict(f"container {container.id} is not running")

    async def close(self) -> None:
        """The engine ends; containers do not."""
        self.closing = True
        for live in self.live.values():
            live.watch.close()
            if live.health is not None:
                live.health.cancel()
        for hub in list(self.hubs.values()):
            hub.finish()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
