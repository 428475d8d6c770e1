"""/images, /distribution"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from solva.errors import InvalidParameter
from solva.server import versions
from solva.server.json import filters, header_json, reply
from solva.server.progress import progress_stream
from solva.server.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from solva.server.backend import Backends, Names
    from solva.server.http import Request


class ImageRoutes:
    """Images."""

    def __init__(self, backends: Backends) -> None:
        self._images = backends.images

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/images/json", self.list),
            Route("POST", "/images/create", self.create, abandons=True),
            Route("POST", "/images/load", self.load, abandons=True),
            Route("POST", "/images/prune", self.prune),
            Route("GET", "/images/search", self.search),
            Route("GET", "/images/get", self.save_many, abandons=True),
            Route("GET", "/images/{name...}/json", self.inspect),
            Route("GET", "/images/{name...}/history", self.history),
            Route("GET", "/images/{name...}/get", self.save, abandons=True),
            Route("POST", "/images/{name...}/push", self.push, abandons=True),
            Route("POST", "/images/{name...}/tag", self.tag),
            Route("DELETE", "/images/{name...}", self.remove),
            Route("GET", "/distribution/{name...}/json", self.distribution),
        ]

    async def list(self, request: Request) -> None:
        wanted = filters(request)
        if request.before(1, 41) and request.query.get("filter"):
            wanted.setdefault("reference", []).append(request.query["filter"])
        rows = await self._images.list(wanted, all=request.flag("all"), shared_size=request.flag("shared-size"),
                                       digests=request.flag("digests"))
        reply(request, versions.images(request, rows))

    async def inspect(self, request: Request) -> None:
        reply(request, versions.image(request, await self._images.inspect(request.params["name"])))

    async def history(self, request: Request) -> None:
        reply(request, self._images.history(request.params["name"]))

    async def create(self, request: Request) -> None:
        query = request.query
        platform = "" if request.before(1, 32) else query.get("platform", "")
        if platform.count("/") > 2:
            raise InvalidParameter(f'"{platform}": cannot parse platform specifier: invalid argument')
        source = query.get("fromSrc", "")
        if source:
            async def load(progress: Callable[[dict[str, Any]], None]) -> None:
                await self._images.import_(
                    source, request.chunks(), repo=query.get("repo", ""), tag=query.get("tag", ""),
                    message=query.get("message", ""), changes=request.query_all("changes"),
                    platform=platform, progress=progress,
                )
            await progress_stream(request, load)
            return
        name = query.get("fromImage", "")
        if not name:
            raise InvalidParameter("invalid reference format")
        tag = query.get("tag", "")
        every = not tag and ":" not in name.rpartition("/")[2] and "@" not in name
        reference = name if not tag else f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
        auth = header_json(request, "X-Registry-Auth")
        await request.body()

        async def pull(progress: Callable[[dict[str, Any]], None]) -> None:
            await self._images.pull_request(reference, every_tag=every, platform=platform, auth=auth,
                                            progress=progress)
        await progress_stream(request, pull)

    async def push(self, request: Request) -> None:
        name, tag = request.params["name"], request.query.get("tag", "")
        auth = header_json(request, "X-Registry-Auth")
        await request.body()

        async def push(progress: Callable[[dict[str, Any]], None]) -> None:
            await self._images.push(name, tag=tag, platform=request.query.get("platform", ""), auth=auth,
                                    progress=progress)
        await progress_stream(request, push)

    async def tag(self, request: Request) -> None:
        await self._images.tag(request.params["name"], request.query.get("repo", ""), request.query.get("tag", ""))
        request.respond(201)

    async def remove(self, request: Request) -> None:
        reply(request, await self._images.remove(request.params["name"], force=request.flag("force"),
                                                 prune=not request.flag("noprune")))

    async def prune(self, request: Request) -> None:
        deleted, space = await self._images.prune(filters(request))
        reply(request, {"ImagesDeleted": deleted, "SpaceReclaimed": space})

    async def search(self, request: Request) -> None:
        limit = request.integer("limit", 0)
        reply(request, await self._images.search(request.query.get("term", ""), limit, filters(request)))

    async def save(self, request: Request) -> None:
        await self._save(request, [request.params["name"]])

    async def save_many(self, request: Request) -> None:
        await self._save(request, request.query_all("names"))

    async def _save(self, request: Request, names: Names) -> None:
        archive = self._images.save(names)
        stream = None
        async for data in archive:
            if stream is None:  # an unknown name is an answer of its own, so the head waits for the first bytes
                stream = await request.stream(content_type="application/x-tar")
            await stream.write(data)
        if stream is None:
            stream = await request.stream(content_type="application/x-tar")
        stream.end()

    async def load(self, request: Request) -> None:
        async def load(progress: Callable[[dict[str, Any]], None]) -> None:
            await self._images.load(request.chunks(), progress=progress, quiet=request.flag("quiet"))
        await progress_stream(request, load, in_band=True)

    async def distribution(self, request: Request) -> None:
        auth = header_json(request, "X-Registry-Auth")
        reply(request, await self._images.distribution(request.params["name"], auth))
