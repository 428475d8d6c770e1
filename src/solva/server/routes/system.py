"""/_ping, /version, /info, /events, /auth, /system/df."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from solva.errors import InvalidParameter, NotFound, NotImplementedHere
from solva.server import versions
from solva.server.json import decode, filters, moment, reply
from solva.server.routing import Route

if TYPE_CHECKING:
    from solva.server.backend import Backends
    from solva.server.http import Request


_NO_STORE = "404 for a name (none is managed), 501 for what speaks with Docker's plugin store"


class SystemRoutes:
    """What concerns the engine as a whole."""

    def __init__(self, backends: Backends) -> None:
        self._system = backends.system

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/_ping", self.ping),
            Route("HEAD", "/_ping", self.ping),
            Route("GET", "/version", self.version),
            Route("GET", "/info", self.info),
            Route("GET", "/events", self.events, abandons=True),
            Route("POST", "/auth", self.auth),
            Route("GET", "/system/df", self.disk_usage),
            Route("GET", "/plugins", self.no_plugins),
            *(Route(method, "/plugins/{name...}", self.plugins_absent, absent=_NO_STORE)
              for method in ("GET", "POST", "DELETE")),
        ]

    async def ping(self, request: Request) -> None:
        extra = ("Builder-Version: 2\r\nSwarm: inactive\r\nCache-Control: no-cache, no-store, must-revalidate\r\n"
                 "Pragma: no-cache\r\n")
        request.respond(200, b"OK", "text/plain; charset=utf-8", extra)

    async def version(self, request: Request) -> None:
        reply(request, self._system.version())

    async def info(self, request: Request) -> None:
        reply(request, versions.info(request, await self._system.info()))

    async def auth(self, request: Request) -> None:
        body = await decode(request, dict[str, Any])
        reply(request, await self._system.auth(body))

    async def disk_usage(self, request: Request) -> None:
        kinds = set() if request.before(1, 42) else set(request.query_all("type"))
        unknown = kinds - {"container", "image", "volume", "build-cache"}
        if unknown:
            raise InvalidParameter(f"unknown object type: {sorted(unknown)[0]}")
        reply(request, versions.disk_usage(request, await self._system.disk_usage(kinds)))

    async def events(self, request: Request) -> None:
        wanted = filters(request)
        since, until = moment(request, "since"), moment(request, "until")
        found = self._system.events(since, until, wanted)
        stream = await request.stream()
        encode = msgspec.json.Encoder().encode
        async for event in found:
            if event["Type"] == "image" and event["Action"] == "create" and request.before(1, 46):
                continue
            await stream.write(encode(event) + b"\n")
        stream.end()

    async def no_plugins(self, request: Request) -> None:
        reply(request, [])

    async def plugins_absent(self, request: Request) -> None:
        """There are none that are managed; those that run by themselves are no objects of the API, in Docker too."""
        name = request.params["name"]
        if name in ("privileges", "pull", "create"):
            raise NotImplementedHere("Solva does not manage plugins of Docker's plugin store; it finds those that run "
                                     "by themselves (a socket in /run/docker/plugins)")
        head, _, verb = name.rpartition("/")
        if head and verb in ("json", "enable", "disable", "upgrade", "push", "set"):
            name = head
        raise NotFound(f'plugin "{name}" not found')
