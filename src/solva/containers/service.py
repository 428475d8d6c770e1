"""Containers: the way in. What each method does is in the module named for the verb."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from solva.api.types.container import (
    AttachOptions,
    CommitOptions,
    ContainerCreate,
    EndpointSettings,
    LogsOptions,
    UpdateConfig,
)
from solva.api.types.exec import ExecCreate, ExecStart
from solva.api.types.network import NetworkConnect, NetworkDisconnect
from solva.containers import (
    archive,
    attach,
    create,
    images,
    inspect,
    links,
    logging,
    modify,
    monitor,
    networking,
    remove,
    start,
    stats,
    stop,
)
from solva.containers.core import Core
from solva.containers.exec import Execs, ExecSession
from solva.errors import Conflict, InvalidParameter, NotFound

Json = dict[str, Any]
Rows = list[Json]
Words = list[str]
Filters = dict[str, list[str]]


class ContainerService:
    """Fulfils ``server/backend.py``'s ContainerBackend."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._execs = Execs(core)

    async def start_service(self) -> None:
        """Adopt what runs; networks have started before."""
        await monitor.adopt(self._core)

    async def stop_service(self) -> None:
        """The engine ends; containers do not."""
        await self._core.close()

    def of_image(self, image_id: str) -> Words:
        """Ids of the containers made from an image (``ImageService.in_use``)."""
        return [item.id for item in self._core.registry.all() if item.image_id == image_id]

    def running_of_image(self, image_id: str) -> Words:
        """Those of them that run."""
        return [item.id for item in self._core.registry.all() if item.image_id == image_id and item.state.running]

    def of_volume(self, name: str) -> Words:
        """Ids of the containers that use a volume."""
        return [item.id for item in self._core.registry.all() if any(point.name == name for point in item.mounts)]

    def counts(self) -> dict[str, int]:
        """running, paused, stopped: for ``info``."""
        states = [item.state for item in self._core.registry.all()]
        paused = sum(state.status == "paused" for state in states)
        running = sum(state.running for state in states) - paused
        return {"running": running, "paused": paused, "stopped": len(states) - running - paused}

    async def list(self, *, all: bool, limit: int, size: bool, filters: Filters) -> Rows:
        return await inspect.list_all(self._core, all=all, limit=limit, size=size, filters=filters)

    async def create(self, name: str, body: ContainerCreate, *, platform: str = "") -> tuple[str, Words]:
        return await create.create(self._core, name, body, platform)

    async def inspect(self, ref: str, *, size: bool = False) -> Json:
        value = await inspect.inspect(self._core, ref, size)
        value["ExecIDs"] = self._execs.ids(value["Id"]) or None
        return value

    async def start(self, ref: str) -> None:
        await start.start(self._core, self._core.registry.get(ref))

    async def stop(self, ref: str, *, timeout: int | None = None, signal: str = "") -> None:
        await stop.stop(self._core, self._core.registry.get(ref), timeout, signal)

    async def restart(self, ref: str, *, timeout: int | None = None, signal: str = "") -> None:
        await stop.restart(self._core, self._core.registry.get(ref), timeout, signal)

    async def kill(self, ref: str, signal: str) -> None:
        try:
            await stop.kill(self._core, self._core.registry.get(ref), signal)
        except (NotFound, Conflict, InvalidParameter) as error:
            raise type(error)(f"cannot kill container: {ref}: {error}") from error

    async def pause(self, ref: str) -> None:
        await modify.pause(self._core, self._core.registry.get(ref))

    async def unpause(self, ref: str) -> None:
        await modify.unpause(self._core, self._core.registry.get(ref))

    async def rename(self, ref: str, name: str) -> None:
        await modify.rename(self._core, self._core.registry.get(ref), name)

    async def resize(self, ref: str, height: int, width: int) -> None:
        modify.resize(self._core, self._core.registry.get(ref), height, width)

    async def update(self, ref: str, body: UpdateConfig) -> Words:
        return await modify.update(self._core, self._core.registry.get(ref), body)

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        if link:
            links.remove(self._core, ref)
            return
        await remove.remove(self._core, self._core.registry.get(ref), force=force, volumes=volumes)

    async def prune(self, filters: Filters) -> tuple[Words, int]:
        return await remove.prune(self._core, filters)

    async def wait(self, ref: str, condition: str = "not-running") -> Awaitable[Json]:
        """What is returned stands when this returns and ends with the container; conditions as in the API."""
        core = self._core
        container = core.registry.get(ref)
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        if condition == "removed":
            core.removal_waiters.setdefault(container.id, []).append(future)
        elif condition == "next-exit" or container.state.running:
            core.exit_waiters.setdefault(container.id, []).append(future)
        else:
            future.set_result({"StatusCode": container.state.exit_code})
        return future

    async def top(self, ref: str, ps_args: str) -> Json:
        return await stats.top(self._core, self._core.registry.get(ref), ps_args)

    async def changes(self, ref: str) -> Rows | None:
        container = self._core.registry.get(ref)
        found = await self._core.snapshots.changes(container.id)
        return [{"Path": change.path, "Kind": change.kind} for change in found] or None

    async def attach(self, ref: str, options: AttachOptions) -> attach.AttachSession:
        return await attach.attach(self._core, ref, options)

    async def logs(self, ref: str, options: LogsOptions) -> tuple[bool, AsyncIterator[bytes]]:
        """(whether it has a terminal, pieces as they go on the wire)."""
        container = self._core.registry.get(ref)
        live = self._core.live.get(container.id)
        pieces = logging.read(self._core, container, options, ended=live.ended if live is not None else None,
                              tty=container.config.tty)
        return container.config.tty, pieces

    async def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[Json]:
        return stats.stats(self._core, self._core.registry.get(ref), stream=stream, one_shot=one_shot)

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        return await archive.export(self._core, self._core.registry.get(ref))

    async def archive_stat(self, ref: str, path: str) -> Json:
        return await archive.stat(self._core, self._core.registry.get(ref), path)

    async def archive_get(self, ref: str, path: str) -> tuple[Json, AsyncIterator[bytes]]:
        return await archive.get(self._core, self._core.registry.get(ref), path)

    async def archive_put(self, ref: str, path: str, data: AsyncIterator[bytes], *,
                          no_overwrite_dir_non_dir: bool = False, copy_uid_gid: bool = False) -> None:
        await archive.put(self._core, self._core.registry.get(ref), path, data,
                          no_overwrite=no_overwrite_dir_non_dir, as_user=copy_uid_gid)

    async def commit(self, options: CommitOptions) -> str:
        return await images.commit(self._core, options)

    async def exec_create(self, ref: str, body: ExecCreate) -> str:
        return self._execs.create(self._core.registry.get(ref), body)

    async def exec_start(self, exec_id: str, body: ExecStart) -> ExecSession | None:
        return await self._execs.start(exec_id, body)

    async def exec_resize(self, exec_id: str, height: int, width: int) -> None:
        self._execs.resize(exec_id, height, width)

    async def exec_inspect(self, exec_id: str) -> Json:
        return self._execs.inspect(exec_id)

    async def connect(self, network: str, body: NetworkConnect) -> None:
        container = self._core.registry.get(body.container)
        await networking.connect(self._core, container, network, body.endpoint_config or EndpointSettings())

    async def disconnect(self, network: str, body: NetworkDisconnect) -> None:
        await networking.disconnect(self._core, self._core.registry.get(body.container), network, body.force)
