"""/volumes"""

from __future__ import annotations

from typing import TYPE_CHECKING

from solva.api.types.volume import VolumeCreate
from solva.server.json import decode, filters, reply
from solva.server.routing import Route

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.http import Request


class VolumeRoutes:
    """Volumes."""

    def __init__(self, backends: Backends) -> None:
        self._volumes = backends.volumes

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/volumes", self.list),
            Route("POST", "/volumes/create", self.create),
            Route("POST", "/volumes/prune", self.prune),
            Route("GET", "/volumes/{name}", self.inspect),
            Route("DELETE", "/volumes/{name}", self.remove),
        ]

    async def list(self, request: Request) -> None:
        volumes, warnings = await self._volumes.listing(filters(request))
        reply(request, {"Volumes": volumes, "Warnings": warnings or None})

    async def inspect(self, request: Request) -> None:
        reply(request, await self._volumes.inspect(request.params["name"]))

    async def create(self, request: Request) -> None:
        body = await decode(request, VolumeCreate, optional=True)
        volume = await self._volumes.create(body.Name, body.Driver, body.DriverOpts or {},
                                            body.Labels or {})
        reply(request, volume, 201)

    async def remove(self, request: Request) -> None:
        await self._volumes.remove(request.params["name"], force=request.flag("force"))
        request.respond(204)

    async def prune(self, request: Request) -> None:
        wanted = filters(request)
        if request.before(1, 42):       # every unused volume then, not only anonymous ones
            wanted.setdefault("all", ["true"])
        names, space = await self._volumes.prune(wanted)
        reply(request, {"VolumesDeleted": names, "SpaceReclaimed": space})
