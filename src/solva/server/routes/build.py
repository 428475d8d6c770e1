"""/build"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from solva.api.types.build import BuildOptions
from solva.errors import InvalidParameter, NotImplementedHere, SystemFailure
from solva.server.json import filters, header_json, reply
from solva.server.progress import progress_stream
from solva.server.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from solva.api.streams import RawStream
    from solva.server.backend import Backends
    from solva.server.http import Request


class BuildRoutes:
    """Builds and their cache."""

    def __init__(self, backends: Backends) -> None:
        self._builder = backends.builder
        self._running: dict[str, asyncio.Task[None]] = {}       # by the client's build id

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/build", self.build, abandons=True),
            Route("POST", "/build/prune", self.prune),
            Route("POST", "/build/cancel", self.cancel),
            Route("POST", "/session", self.session, abandons=True),
            Route("POST", "/grpc", self.grpc, abandons=True),
        ]

    async def build(self, request: Request) -> None:
        query: dict[str, Any] = dict(request.query)
        query["t"] = request.query_all("t")
        query["extrahosts"] = request.query_all("extrahosts")
        options = BuildOptions.from_query(query)
        auth = header_json(request, "X-Registry-Config")

        async def build(progress: Callable[[dict[str, Any]], None]) -> None:
            task, name = asyncio.current_task(), request.query.get("buildid", "")
            if name and task is not None:
                self._running[name] = task
            try:
                await self._builder.build(options, request.chunks(), auth, progress)
            except asyncio.CancelledError:
                if self._running.pop(name, None) is None and name:
                    raise SystemFailure("context canceled") from None
                raise
            finally:
                self._running.pop(name, None)
        await progress_stream(request, build)

    async def cancel(self, request: Request) -> None:
        name = request.query.get("id", "")
        if not name:
            raise InvalidParameter("build ID not provided")
        task = self._running.pop(name, None)
        if task is not None:
            task.cancel()
        request.respond(200)

    async def prune(self, request: Request) -> None:
        await request.body()
        if request.integer("min-free-space", 0):
            raise NotImplementedHere("min-free-space is not done: name what may stay (reserved-space, max-used-space)")
        keep = max(request.integer("reserved-space", request.integer("keep-storage", 0)),
                   request.integer("max-used-space", 0))
        deleted, space = await self._builder.prune(all=request.flag("all"), keep=keep, filters=filters(request))
        reply(request, {"CachesDeleted": deleted, "SpaceReclaimed": space})

    async def session(self, request: Request) -> None:
        """A BuildKit client lets the engine call it back on this connection."""
        methods = request.headers.get("x-docker-expose-session-grpc-method", "").split(", ")
        stream = await self._upgraded(request)
        await self._builder.session(stream, request.headers, methods)

    async def grpc(self, request: Request) -> None:
        """A BuildKit client's own calls."""
        stream = await self._upgraded(request)
        await self._builder.control(stream)

    async def _upgraded(self, request: Request) -> RawStream:
        if request.headers.get("upgrade", "").lower() != "h2c":
            raise InvalidParameter("this endpoint speaks HTTP/2 on an upgraded connection (Upgrade: h2c)")
        await request.body()
        return await request.hijack("application/grpc", "h2c")
