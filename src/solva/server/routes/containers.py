"""/containers"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from solva.api.types.container import AttachOptions, CommitOptions, ContainerCreate, LogsOptions, UpdateConfig
from solva.errors import InvalidParameter, SolvaError
from solva.server import versions, websocket
from solva.server.json import decode, filters, moment, reply
from solva.server.routing import Route

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.http import Request

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


class ContainerRoutes:
    """Containers."""

    def __init__(self, backends: Backends) -> None:
        self._containers = backends.containers

    def routes(self) -> list[Route]:
        one = "/containers/{name}"
        return [
            Route("GET", "/containers/json", self.list),
            Route("POST", "/containers/create", self.create),
            Route("POST", "/containers/prune", self.prune),
            Route("GET", f"{one}/json", self.inspect),
            Route("GET", f"{one}/logs", self.logs, abandons=True),
            Route("GET", f"{one}/top", self.top),
            Route("GET", f"{one}/stats", self.stats, abandons=True),
            Route("GET", f"{one}/changes", self.changes),
            Route("GET", f"{one}/export", self.export, abandons=True),
            Route("HEAD", f"{one}/archive", self.archive_stat),
            Route("GET", f"{one}/archive", self.archive_get, abandons=True),
            Route("PUT", f"{one}/archive", self.archive_put),
            Route("POST", f"{one}/start", self.start),
            Route("POST", f"{one}/stop", self.stop),
            Route("POST", f"{one}/restart", self.restart),
            Route("POST", f"{one}/kill", self.kill),
            Route("POST", f"{one}/pause", self.pause),
            Route("POST", f"{one}/unpause", self.unpause),
            Route("POST", f"{one}/rename", self.rename),
            Route("POST", f"{one}/resize", self.resize),
            Route("POST", f"{one}/update", self.update),
            Route("POST", f"{one}/wait", self.wait, abandons=True),
            Route("POST", f"{one}/attach", self.attach, abandons=True),
            Route("GET", f"{one}/attach/ws", self.attach_websocket, abandons=True),
            Route("DELETE", "/containers/{name...}", self.remove),
            Route("POST", "/commit", self.commit),
        ]

    async def list(self, request: Request) -> None:
        limit = request.integer("limit", -1)
        rows = await self._containers.list(
            all=request.flag("all"), limit=limit, size=request.flag("size"), filters=filters(request))
        reply(request, versions.containers(request, rows))

    async def create(self, request: Request) -> None:
        body = await decode(request, ContainerCreate)
        notes = versions.create(request, body)
        platform = "" if request.before(1, 41) else request.query.get("platform", "")
        identifier, warnings = await self._containers.create(request.query.get("name", ""), body, platform=platform)
        reply(request, {"Id": identifier, "Warnings": [*warnings, *notes]}, 201)

    async def inspect(self, request: Request) -> None:
        value = await self._containers.inspect(request.params["name"], size=request.flag("size"))
        reply(request, versions.container(request, value))

    async def start(self, request: Request) -> None:
        await request.body()
        await self._containers.start(request.params["name"])
        request.respond(204)

    async def stop(self, request: Request) -> None:
        await self._containers.stop(request.params["name"], timeout=_seconds(request),
                                    signal=request.query.get("signal", ""))
        request.respond(204)

    async def restart(self, request: Request) -> None:
        await self._containers.restart(request.params["name"], timeout=_seconds(request),
                                       signal=request.query.get("signal", ""))
        request.respond(204)

    async def kill(self, request: Request) -> None:
        await self._containers.kill(request.params["name"], request.query.get("signal", ""))
        request.respond(204)

    async def pause(self, request: Request) -> None:
        await self._containers.pause(request.params["name"])
        request.respond(204)

    async def unpause(self, request: Request) -> None:
        await self._containers.unpause(request.params["name"])
        request.respond(204)

    async def rename(self, request: Request) -> None:
        await self._containers.rename(request.params["name"], request.query.get("name", ""))
        request.respond(204)

    async def resize(self, request: Request) -> None:
        await self._containers.resize(request.params["name"], *window_size(request))
        request.respond(200)

    async def update(self, request: Request) -> None:
        body = await decode(request, UpdateConfig, optional=True)
        versions.update(request, body)
        reply(request, {"Warnings": await self._containers.update(request.params["name"], body) or None})

    async def remove(self, request: Request) -> None:
        await self._containers.remove(request.params["name"], force=request.flag("force"),
                                      volumes=request.flag("v"), link=request.flag("link"))
        request.respond(204)

    async def prune(self, request: Request) -> None:
        identifiers, space = await self._containers.prune(filters(request))
        reply(request, {"ContainersDeleted": identifiers or None, "SpaceReclaimed": space})

    async def top(self, request: Request) -> None:
        reply(request, await self._containers.top(request.params["name"], request.query.get("ps_args", "-ef")))

    async def changes(self, request: Request) -> None:
        reply(request, await self._containers.changes(request.params["name"]))

    async def wait(self, request: Request) -> None:
        """The head goes out as soon as the wait stands, so that a client may start the container after it."""
        condition = request.query.get("condition", "") or "not-running"
        if condition not in ("not-running", "next-exit", "removed"):
            raise InvalidParameter(f'invalid condition: "{condition}"')
        waiting = await self._containers.wait(request.params["name"], condition)
        stream = await request.stream()
        try:
            status = await waiting
        except SolvaError as error:
            status = {"StatusCode": -1, "Error": {"Message": str(error)}}
        await stream.write(msgspec.json.encode(status) + b"\n")
        stream.end()

    async def attach(self, request: Request) -> None:
        options = AttachOptions(
            stream=request.flag("stream"), stdin=request.flag("stdin"), stdout=request.flag("stdout"),
            stderr=request.flag("stderr"), logs=request.flag("logs"),
            detach_keys=request.query.get("detachKeys", ""),
        )
        session = await self._containers.attach(request.params["name"], options)
        modern = not request.before(1, 42)
        stream = await request.hijack(MULTIPLEXED if modern and not session.tty else RAW)
        await session.run(stream)

    async def attach_websocket(self, request: Request) -> None:
        options = AttachOptions(
            stream=request.flag("stream"), stdin=request.flag("stdin"), stdout=request.flag("stdout"),
            stderr=request.flag("stderr"), logs=request.flag("logs"),
            detach_keys=request.query.get("detachKeys", ""), framed=False)
        session = await self._containers.attach(request.params["name"], options)
        try:
            stream = await websocket.accept(request)
        except SolvaError:
            session.discard()
            raise
        await session.run(stream)

    async def logs(self, request: Request) -> None:
        if not request.flag("stdout") and not request.flag("stderr"):
            raise InvalidParameter("Bad parameters: you must choose at least one stream")
        options = LogsOptions(
            follow=request.flag("follow"), stdout=request.flag("stdout"), stderr=request.flag("stderr"),
            since=moment(request, "since") or 0, until=moment(request, "until") or 0,
            timestamps=request.flag("timestamps"), tail=_tail(request), details=request.flag("details"),
        )
        tty, lines = await self._containers.logs(request.params["name"], options)
        modern = not request.before(1, 42)
        stream = await request.stream(content_type=MULTIPLEXED if modern and not tty else RAW)
        async for data in lines:
            await stream.write(data)
        stream.end()

    async def stats(self, request: Request) -> None:
        streaming = request.flag("stream", True)
        samples = await self._containers.stats(request.params["name"], stream=streaming,
                                               one_shot=request.flag("one-shot"))
        if not streaming:
            async for sample in samples:
                reply(request, sample)
                return
            return
        stream = await request.stream()
        async for sample in samples:
            await stream.write(msgspec.json.encode(sample) + b"\n")
        stream.end()

    async def export(self, request: Request) -> None:
        archive = await self._containers.export(request.params["name"])
        stream = await request.stream(content_type="application/octet-stream")
        async for data in archive:
            await stream.write(data)
        stream.end()

    async def archive_stat(self, request: Request) -> None:
        stat = await self._containers.archive_stat(request.params["name"], _path(request))
        request.respond(200, extra=_stat_header(stat))

    async def archive_get(self, request: Request) -> None:
        stat, archive = await self._containers.archive_get(request.params["name"], _path(request))
        stream = await request.stream(content_type="application/x-tar", extra=_stat_header(stat))
        async for data in archive:
            await stream.write(data)
        stream.end()

    async def archive_put(self, request: Request) -> None:
        await self._containers.archive_put(
            request.params["name"], _path(request), request.chunks(),
            no_overwrite_dir_non_dir=request.flag("noOverwriteDirNonDir"), copy_uid_gid=request.flag("copyUIDGID"))
        request.respond(200)

    async def commit(self, request: Request) -> None:
        query = request.query
        identifier = await self._containers.commit(CommitOptions(
            container=query.get("container", ""), repo=query.get("repo", ""), tag=query.get("tag", ""),
            author=query.get("author", ""), comment=query.get("comment", ""), pause=request.flag("pause", True),
            changes=tuple(request.query_all("changes")), config=await decode(request, dict[str, Any], optional=True)))
        reply(request, {"Id": identifier}, 201)


def _seconds(request: Request) -> int | None:
    return request.integer("t", 0) if request.query.get("t") else None


def window_size(request: Request) -> tuple[int, int]:
    """(height, width) of a terminal."""
    size = []
    for key, name in (("h", "height"), ("w", "width")):
        text = request.query.get(key, "")
        if not text.isdigit():
            raise InvalidParameter(f'invalid resize {name} "{text}": invalid syntax')
        if int(text) >= 1 << 32:
            raise InvalidParameter(f'invalid resize {name} "{text}": value out of range')
        size.append(int(text))
    return size[0], size[1]


def _tail(request: Request) -> int:
    """-1 for all; what is not a number means all, as in Docker."""
    text = request.query.get("tail", "")
    return int(text) if text.isdigit() else -1


def _path(request: Request) -> str:
    path = request.query.get("path", "")
    if not path:
        raise InvalidParameter("bad parameter: path cannot be empty")
    return path


def _stat_header(stat: dict[str, object]) -> str:
    value = base64.b64encode(msgspec.json.encode(stat)).decode()
    return f"X-Docker-Container-Path-Stat: {value}\r\n"
