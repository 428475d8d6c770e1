"""A build on an engine that has BuildKit (ours or a real Docker): the session, the control connection, the progress."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from grpclib.client import UnaryStreamMethod, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from solva.buildkit import wire_pb2 as wire
from solva.buildkit.transport import SessionChannel, serve
from solva.client.buildkit.attachables import Attachables
from solva.client.buildkit.request import BuildRequest
from solva.client.buildkit.stream import ThreadedStream
from solva.errors import SystemFailure

if TYPE_CHECKING:
    from solva.client.transport import Connection, Transport

_HEADER = "X-Docker-Expose-Session-"
_CONTROL = "/moby.buildkit.v1.Control/"
_GATEWAY = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD_ID = "buildkit-controlapi-buildid"
Show = Callable[[Any], None]


class BuildFailed(SystemFailure):
    """``excerpt``: the lines of the Dockerfile that it is about, marked, or ""."""

    def __init__(self, message: str, excerpt: str) -> None:
        super().__init__(message)
        self.excerpt = excerpt


def supported(api: Transport) -> bool:
    """Whether the engine serves BuildKit's clients."""
    with api.request("GET", "/_ping") as answer:
        answer.read()
        return answer.headers.get("builder-version") == "2"


def build(api: Transport, request: BuildRequest, show: Show) -> dict[str, str]:
    """Build; the exporters' response (``containerimage.digest``, …). ``show`` gets wire.StatusResponse messages as they
    come. BuildFailed with the engine's words."""
    answer: dict[str, str] = asyncio.run(_Build(api, request).run(show))
    return answer


def ask(api: Transport, request: BuildRequest, subrequest: str, show: Show) -> Mapping[str, bytes]:
    """A subrequest of the frontend (``frontend.lint``, ``frontend.outline``, ``frontend.targets``): its result."""
    answer: Mapping[str, bytes] = asyncio.run(_Build(api, request).ask(subrequest, show))
    return answer


class _Build:
    def __init__(self, api: Transport, request: BuildRequest) -> None:
        self._api = api
        self._request = request
        self._ref = os.urandom(12).hex()
        self._session = os.urandom(12).hex()

    async def run(self, show: Show) -> Any:
        async def work(channel: SessionChannel) -> dict[str, str]:
            answer = await self._solve(channel, frontend="dockerfile.v0")
            return dict(answer.exporter_response)
        return await self._connected(work, show)

    async def ask(self, subrequest: str, show: Show) -> Any:
        async def work(channel: SessionChannel) -> Mapping[str, bytes]:
            job = asyncio.ensure_future(self._solve(channel, frontend=""))
            try:
                call = UnaryUnaryMethod(channel, f"{_GATEWAY}Solve", wire.GatewaySolveRequest,
                                        wire.GatewaySolveResponse)
                answer = await call(wire.GatewaySolveRequest(
                    frontend="dockerfile.v0", allow_result_return=True,
                    frontend_opt={**self._request.options, "requestid": subrequest,
                                  "frontend.caps": "moby.buildkit.frontend.subrequests"}),
                    metadata={_BUILD_ID: self._ref})
                leave = UnaryUnaryMethod(channel, f"{_GATEWAY}Return", wire.ReturnRequest, wire.Empty)
                await leave(wire.ReturnRequest(result=wire.Result(metadata=answer.result.metadata)),
                            metadata={_BUILD_ID: self._ref})
                await job
                return dict(answer.result.metadata)
            finally:
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)
        return await self._connected(work, show)

    async def _connected(self, work: Any, show: Show) -> Any:
        """``work`` with the session and the progress beside it."""
        services = Attachables(self._request)
        session = ThreadedStream(await asyncio.to_thread(self._open_session, list(services.__mapping__())))
        control = SessionChannel(ThreadedStream(await asyncio.to_thread(self._open, "/grpc", {})))
        serving = [asyncio.ensure_future(serve(session, [services])), asyncio.ensure_future(control.run())]
        progress = asyncio.ensure_future(self._follow(control, show))
        try:
            result = await work(control)
            await asyncio.wait([progress], timeout=5)
            return result
        except GRPCError as error:
            await asyncio.wait([progress], timeout=5)
            raise BuildFailed(error.message or str(error), excerpt(error.details)) from error
        except (StreamTerminatedError, ConnectionError) as error:
            raise SystemFailure(f"the engine ended the connection of the build: {error}") from error
        finally:
            progress.cancel()
            session.close()
            control.close()
            for task in serving:
                task.cancel()
            await asyncio.gather(progress, *serving, return_exceptions=True)

    def _open_session(self, methods: list[str]) -> Connection:
        return self._open("/session", {f"{_HEADER}Uuid": self._session, f"{_HEADER}Name": "solva",
                                       f"{_HEADER}Sharedkey": self._request.shared_key,
                                       f"{_HEADER}Grpc-Method": tuple(methods)})

    def _open(self, path: str, headers: dict[str, Any]) -> Connection:
        return self._api.hijack("POST", path, headers={**headers, "Upgrade": "h2c"})

    async def _follow(self, channel: SessionChannel, show: Show) -> None:
        call = UnaryStreamMethod(channel, f"{_CONTROL}Status", wire.StatusRequest, wire.StatusResponse)
        try:
            async with call.open() as stream:
                await stream.send_message(wire.StatusRequest(ref=self._ref), end=True)
                async for message in stream:
                    show(message)
        except (GRPCError, StreamTerminatedError, ConnectionError):
            return      # the build itself says what happened

    async def _solve(self, channel: SessionChannel, frontend: str) -> Any:
        request = self._request
        cache = wire.CacheOptions(exports=[wire.CacheEntry(type=kind, attrs=dict(attrs))
                                           for kind, attrs in request.cache_to],
                                  imports=[wire.CacheEntry(type=kind, attrs=dict(attrs))
                                           for kind, attrs in request.cache_from])
        message = wire.SolveRequest(
            ref=self._ref, session=self._session, frontend=frontend, cache=cache, internal=not frontend,
            frontend_attrs=dict(request.options) if frontend else {}, entitlements=list(request.entitlements),
            exporters=[wire.Exporter(type=output.kind, attrs=dict(output.attrs))
                       for output in request.outputs if output.kind and frontend])
        return await UnaryUnaryMethod(channel, f"{_CONTROL}Solve", wire.SolveRequest, wire.SolveResponse)(message)


def excerpt(details: Any) -> str:
    """The Dockerfile's lines that an error is about, as Docker shows them."""
    for detail in details or ():
        if not detail.type_url.endswith("errdefs.Source+json"):
            continue
        source = json.loads(detail.value)
        import base64

        info = source.get("info") or {}
        text = base64.b64decode(info.get("data") or "").decode("utf-8", "replace").split("\n")
        ranges = [(row["start"].get("line", 0), (row.get("end") or row["start"]).get("line", 0))
                  for row in source.get("ranges") or ()]
        if not ranges:
            return ""
        first, last = min(row[0] for row in ranges), max(max(row) for row in ranges)
        rows = [f"{info.get('filename', 'Dockerfile')}:{first}", "-" * 20]
        for number in range(max(1, first - 2), min(len(text), max(last, first) + 2) + 1):
            mark = ">>>" if any(start <= number <= max(start, end) for start, end in ranges) else "   "
            rows.append(f" {number:3d} | {mark} {text[number - 1]}")
        return "\n".join([*rows, "-" * 20])
    return ""
