"""/solva/...: what Docker's API has no words for. Everything here is additional; no client of Docker's calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solva.api.types.explain import NameServerSettings
from solva.errors import InvalidParameter
from solva.server.json import decode, reply
from solva.server.routing import Route

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.http import Request


class SolvaRoutes:
    """The engine explains itself."""

    def __init__(self, backends: Backends) -> None:
        self._explain = backends.explain

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/solva/network/why", self.why),
            Route("GET", "/solva/network/obstacles", self.obstacles),
            Route("GET", "/solva/ports", self.ports),
            Route("GET", "/solva/doctor", self.doctor),
            Route("GET", "/solva/dns", self.name_server),
            Route("POST", "/solva/dns", self.set_name_server),
            Route("GET", "/solva/dns/log", self.query_log, abandons=True),
        ]

    async def why(self, request: Request) -> None:
        source, target = request.query.get("from", ""), request.query.get("to", "")
        if not source or not target:
            raise InvalidParameter("two ends are needed: from=A&to=B[:PORT]")
        reply(request, await self._explain.why(source, target, send=request.flag("packet")))

    async def obstacles(self, request: Request) -> None:
        reply(request, {"Warnings": await self._explain.obstacles(request.query.get("container", ""))})

    async def ports(self, request: Request) -> None:
        reply(request, await self._explain.ports())

    async def doctor(self, request: Request) -> None:
        reply(request, await self._explain.doctor())

    async def name_server(self, request: Request) -> None:
        reply(request, await self._explain.name_server())

    async def set_name_server(self, request: Request) -> None:
        body = await decode(request, NameServerSettings)
        reply(request, await self._explain.set_query_log(body.query_log))

    async def query_log(self, request: Request) -> None:
        lines = self._explain.query_log(tail=request.integer("tail", -1), follow=request.flag("follow"))
        stream = await request.stream(content_type="text/plain; charset=utf-8")
        async for line in lines:
            await stream.write(line)
        stream.end()
