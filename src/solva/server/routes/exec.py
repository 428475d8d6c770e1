"""/containers/{id}/exec, /exec"""

from __future__ import annotations

from typing import TYPE_CHECKING

from solva.api.types.exec import ExecCreate, ExecStart
from solva.server.json import decode, reply
from solva.server.routes.containers import MULTIPLEXED, RAW, window_size
from solva.server.routing import Route

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.http import Request


class ExecRoutes:
    """Processes in running containers."""

    def __init__(self, backends: Backends) -> None:
        self._containers = backends.containers

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/containers/{name}/exec", self.create),
            Route("POST", "/exec/{id}/start", self.start, abandons=True),
            Route("POST", "/exec/{id}/resize", self.resize),
            Route("GET", "/exec/{id}/json", self.inspect),
        ]

    async def create(self, request: Request) -> None:
        body = await decode(request, ExecCreate, optional=True)
        reply(request, {"Id": await self._containers.exec_create(request.params["name"], body)}, 201)

    async def start(self, request: Request) -> None:
        body = await decode(request, ExecStart, optional=True)
        session = await self._containers.exec_start(request.params["id"], body)
        if session is None:  # detached
            request.respond(200)
            return
        modern = not request.before(1, 42)
        stream = await request.hijack(MULTIPLEXED if modern and not body.tty else RAW)
        await session.run(stream)

    async def resize(self, request: Request) -> None:
        await self._containers.exec_resize(request.params["id"], *window_size(request))
        request.respond(200)

    async def inspect(self, request: Request) -> None:
        reply(request, await self._containers.exec_inspect(request.params["id"]))
