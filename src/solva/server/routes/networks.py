"""/networks"""

from __future__ import annotations

from typing import TYPE_CHECKING

from solva.api.types.network import NetworkConnect, NetworkCreate, NetworkDisconnect
from solva.errors import InvalidParameter
from solva.server.json import decode, filters, reply
from solva.server.routing import Route

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.http import Request


class NetworkRoutes:
    """Networks and who is on them."""

    def __init__(self, backends: Backends) -> None:
        self._networks = backends.networks
        self._containers = backends.containers

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/networks", self.list),
            Route("GET", "/networks/{id}", self.inspect),
            Route("POST", "/networks/create", self.create),
            Route("POST", "/networks/prune", self.prune),
            Route("POST", "/networks/{id}/connect", self.connect),
            Route("POST", "/networks/{id}/disconnect", self.disconnect),
            Route("DELETE", "/networks/{id}", self.remove),
        ]

    async def list(self, request: Request) -> None:
        reply(request, self._networks.list(filters(request)))

    async def inspect(self, request: Request) -> None:
        scope = request.query.get("scope", "")
        reply(request, self._networks.inspect(request.params["id"], verbose=request.flag("verbose"), scope=scope))

    async def create(self, request: Request) -> None:
        body = await decode(request, NetworkCreate)
        identifier, warning = await self._networks.create(body)
        reply(request, {"Id": identifier, "Warning": warning}, 201)

    async def connect(self, request: Request) -> None:
        body = await decode(request, NetworkConnect)
        if not body.container:
            raise InvalidParameter('invalid name or ID supplied: ""')
        await self._containers.connect(request.params["id"], body)
        request.respond(200)

    async def disconnect(self, request: Request) -> None:
        body = await decode(request, NetworkDisconnect)
        await self._containers.disconnect(request.params["id"], body)
        request.respond(200)

    async def remove(self, request: Request) -> None:
        await self._networks.remove(request.params["id"])
        request.respond(204)

    async def prune(self, request: Request) -> None:
        reply(request, {"NetworksDeleted": await self._networks.prune(filters(request))})
