"""The gRPC services that BuildKit's clients call on ``/grpc``: control and gateway."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.any_pb2 import Any as Packed
from grpclib.const import Cardinality, Handler
from grpclib.const import Status as Code
from grpclib.exceptions import GRPCError, StreamTerminatedError

from solva.build import rootpath
from solva.build.cachetransfer import CacheExport
from solva.build.failures import StepFailed, lines_of
from solva.buildkit import fsutil
from solva.buildkit import wire_pb2 as wire
from solva.errors import NotFound, NotImplementedHere, SolvaError

if TYPE_CHECKING:
    from pathlib import Path

    from solva.build.buildkit.solver import KitBuild, Solver

log = logging.getLogger("solva.buildkit")
MAX_FILE = 16 << 20
BUILD_ID = "buildkit-controlapi-buildid"
VERSION = "v0.25.2"     # the BuildKit whose clients this was written for
_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"
_CONTROL = "/moby.buildkit.v1.Control/"
_GATEWAY = "/moby.buildkit.v1.frontend.LLBBridge/"
_REF = "docker-image://solva.invalid/result:"
_CAPS = ("source.image", "source.local", "source.local.followpaths", "source.local.excludepatterns",
         "source.local.includepatterns", "source.local.sharedkeyhint", "source.local.unique", "source.local.sessionid",
         "source.git", "source.http", "exec.meta.base", "exec.mount.bind", "exec.mount.cache",
         "exec.mount.cache.sharing", "exec.mount.tmpfs", "exec.mount.secret", "exec.mount.ssh", "exec.secretenv",
         "file.base", "constraints",
         "platform", "meta.ignorecache", "meta.description", "exporter.image.push", "mergeop", "diffop")
_FRONTEND_CAPS = ("solve.base", "solve.inlinereturn", "resolveimage", "readfile", "return", "returnmap", "readdir",
                  "statfile", "importcaches", "proto.refarray", "reference.output", "frontend.inputs",
                  "gateway.solve.metadata", "gateway.warnings")


def _unary(call: Callable[..., Awaitable[Any]], request: Any, reply: Any) -> Handler:
    async def handle(stream: Any) -> None:
        message = await stream.recv_message()
        try:
            answer = await call(message, stream.metadata)
        except SolvaError as error:
            raise to_grpc(error) from error
        except (GRPCError, StreamTerminatedError):
            raise
        except Exception as error:
            log.exception("a call of a BuildKit client failed")
            raise GRPCError(Code.INTERNAL, f"{type(error).__name__}: {error}") from error
        await stream.send_message(answer)
    return Handler(handle, Cardinality.UNARY_UNARY, request, reply)


def to_grpc(error: SolvaError, build: KitBuild | None = None) -> GRPCError:
    """Our error as BuildKit's clients show it: its text, and the lines of the Dockerfile that it is about."""
    kind = Code.UNKNOWN
    if isinstance(error, NotImplementedHere):
        kind = Code.UNIMPLEMENTED
    elif isinstance(error, NotFound):
        kind = Code.NOT_FOUND
    text = error.process if isinstance(error, StepFailed) else str(error)
    return GRPCError(kind, text, _details(error, build))


def _details(error: SolvaError, build: KitBuild | None) -> list[Any]:
    first, last = lines_of(error)
    if build is None or not first or not build.dockerfile[1]:
        return []
    name, text = build.dockerfile
    source = {"info": {"filename": name, "data": base64.b64encode(text).decode(), "language": "Dockerfile"},
              "ranges": [{"start": {"line": first}, "end": {"line": last}}]}
    return [Packed(type_url=_SOURCE, value=json.dumps(source).encode())]


class Control:
    """moby.buildkit.v1.Control."""

    def __init__(self, solver: Solver, engine_id: str, platform: tuple[str, str, str]) -> None:
        self._solver = solver
        self.worker = wire.WorkerRecord(
            id=engine_id, labels={"org.mobyproject.buildkit.worker.executor": "oci",
                                  "org.mobyproject.buildkit.worker.snapshotter": "overlayfs"},
            platforms=[wire.Platform(os=platform[0], architecture=platform[1], variant=platform[2])],
            buildkit_version=wire.BuildkitVersion(package="github.com/moby/buildkit", version=VERSION,
                                                  revision="solva"))

    def __mapping__(self) -> dict[str, Handler]:
        return {
            f"{_CONTROL}ListWorkers": _unary(self._workers, wire.ListWorkersRequest, wire.ListWorkersResponse),
            f"{_CONTROL}Info": _unary(self._info, wire.Empty, wire.InfoResponse),
            f"{_CONTROL}Solve": _unary(self._solve, wire.SolveRequest, wire.SolveResponse),
            f"{_CONTROL}Status": Handler(self._status, Cardinality.UNARY_STREAM, wire.StatusRequest,
                                         wire.StatusResponse),
            f"{_CONTROL}ListenBuildHistory": Handler(self._history, Cardinality.UNARY_STREAM,
                                                     wire.BuildHistoryRequest, wire.BuildHistoryEvent),
            f"{_CONTROL}UpdateBuildHistory": _unary(self._nothing, wire.Empty, wire.Empty),
        }

    async def _workers(self, request: Any, metadata: Any) -> Any:
        return wire.ListWorkersResponse(record=[self.worker])

    async def _info(self, request: Any, metadata: Any) -> Any:
        return wire.InfoResponse(buildkit_version=self.worker.buildkit_version)

    async def _nothing(self, request: Any, metadata: Any) -> Any:
        return wire.Empty()

    async def _history(self, stream: Any) -> None:
        """There is no history of builds: an empty list."""
        await stream.recv_message()
        await stream.send_initial_metadata()

    async def _status(self, stream: Any) -> None:
        request = await stream.recv_message()
        try:
            build = await self._solver.find(request.ref)
        except SolvaError as error:
            raise to_grpc(error) from error
        async for message in build.journal.follow():
            await stream.send_message(message)
        await stream.send_initial_metadata() if not stream._send_initial_metadata_done else None

    async def _solve(self, request: Any, metadata: Any) -> Any:
        """The whole of a build. Without a frontend the client drives the gateway and says there what came of it."""
        try:
            caches = [CacheExport.parse(entry.type, entry.attrs) for entry in request.cache.exports]
        except SolvaError as error:
            raise to_grpc(error) from error
        if "security.insecure" in request.entitlements:
            raise to_grpc(NotImplementedHere("granting entitlement security.insecure is not allowed: steps run with a "
                                             "container's default rights"))
        build = await self._solver.begin(request.ref, request.session)
        try:
            if request.frontend:
                options = dict(request.frontend_attrs)
                options["cache-imports"] = _imports(request.cache.imports, options)
                result = await self._solver.solve(build, request.frontend, options,
                                                  results_of(request.frontend_inputs))
            else:
                result = await build.returned
            exporters = [(entry.type, dict(entry.attrs)) for entry in request.exporters]
            if not exporters and request.exporter:
                exporters = [(request.exporter, dict(request.exporter_attrs))]
            answer = await self._solver.export(build, result, exporters, caches) if result else {}
            return wire.SolveResponse(exporter_response=answer)
        except SolvaError as error:
            raise to_grpc(error, build) from error
        except OSError as error:
            log.exception("build %s", request.ref)
            raise GRPCError(Code.UNKNOWN, f"{error.strerror or error}: {error.filename or ''}") from error
        finally:
            self._solver.end(build)


class Gateway:
    """moby.buildkit.v1.frontend.LLBBridge: what a client that drives its own build may call."""

    def __init__(self, solver: Solver, worker: Any) -> None:
        self._solver = solver
        self._worker = worker

    def __mapping__(self) -> dict[str, Handler]:
        rows = (("Ping", self._ping, wire.Empty, wire.PongResponse),
                ("Solve", self._solve, wire.GatewaySolveRequest, wire.GatewaySolveResponse),
                ("Return", self._return, wire.ReturnRequest, wire.Empty),
                ("Evaluate", self._evaluate, wire.EvaluateRequest, wire.Empty),
                ("ReadFile", self._read_file, wire.ReadFileRequest, wire.ReadFileResponse),
                ("ReadDir", self._read_dir, wire.ReadDirRequest, wire.ReadDirResponse),
                ("StatFile", self._stat_file, wire.StatFileRequest, wire.StatFileResponse),
                ("Inputs", self._inputs, wire.Empty, wire.InputsResponse),
                ("Warn", self._warn, wire.Empty, wire.Empty))
        return {f"{_GATEWAY}{name}": _unary(call, request, reply) for name, call, request, reply in rows}

    async def _build(self, metadata: Any) -> KitBuild:
        return await self._solver.find(metadata.get(BUILD_ID, ""))

    async def _ping(self, request: Any, metadata: Any) -> Any:
        return wire.PongResponse(
            frontend_caps=[wire.Capability(id=name, enabled=True) for name in _FRONTEND_CAPS],
            llb_caps=[wire.Capability(id=name, enabled=True) for name in _CAPS], workers=[self._worker])

    async def _solve(self, request: Any, metadata: Any) -> Any:
        build = await self._build(metadata)
        if not request.frontend:
            raise to_grpc(NotImplementedHere("a build from a raw definition (LLB) is not supported, only Dockerfiles"))
        try:
            if request.frontend_opt.get("requestid"):
                found = await self._solver.describe(build, request.frontend_opt["requestid"],
                                                    dict(request.frontend_opt))
                return wire.GatewaySolveResponse(result=wire.Result(metadata=found))
            options = dict(request.frontend_opt)
            options["cache-imports"] = _imports(request.cache_imports, options)
            name = await self._solver.solve(build, request.frontend, options, results_of(request.frontend_inputs))
        except SolvaError as error:
            build.failure = error
            raise to_grpc(error, build) from error
        return wire.GatewaySolveResponse(result=wire.Result(ref=wire.Ref(id=name, **{"def": definition(name)})))

    async def _return(self, request: Any, metadata: Any) -> Any:
        build = await self._build(metadata)
        if build.returned.done():
            return wire.Empty()
        if request.HasField("error"):
            build.returned.set_exception(build.failure or SolvaError(request.error.message))
        else:
            build.returned.set_result(_single(request.result))
        return wire.Empty()

    async def _evaluate(self, request: Any, metadata: Any) -> Any:
        self._solver.result(request.ref)
        return wire.Empty()

    async def _read_file(self, request: Any, metadata: Any) -> Any:
        async with self._solver.mounted(request.ref) as root:
            with open(_existing(root, request.file_path), "rb") as file:
                file.seek(request.range.offset)
                return wire.ReadFileResponse(data=file.read(request.range.length or MAX_FILE))

    async def _read_dir(self, request: Any, metadata: Any) -> Any:
        async with self._solver.mounted(request.ref) as root:
            folder = _existing(root, request.dir_path)
            names = fnmatch.filter(sorted(os.listdir(folder)), request.include_pattern or "*")
            return wire.ReadDirResponse(entries=[fsutil.packed(os.path.join(folder, name), name) for name in names])

    async def _stat_file(self, request: Any, metadata: Any) -> Any:
        async with self._solver.mounted(request.ref) as root:
            path = _existing(root, request.path)
            return wire.StatFileResponse(stat=fsutil.packed(path, os.path.basename(path)))

    async def _inputs(self, request: Any, metadata: Any) -> Any:
        return wire.InputsResponse()

    async def _warn(self, request: Any, metadata: Any) -> Any:
        return wire.Empty()


def _imports(entries: Any, options: dict[str, str]) -> str:
    """Caches to import, however the client names them, as the frontend's option."""
    rows = [{"Type": entry.type, "Attrs": dict(entry.attrs)} for entry in entries]
    return json.dumps(rows) if rows else options.get("cache-imports", "")


def _existing(root: Path, name: str) -> str:
    path = rootpath.inside(os.fspath(root), name)
    if not os.path.lexists(path):
        raise NotFound(f"lstat {name}: no such file or directory")
    return path


def _single(result: Any) -> str:
    """The one reference of a result; "" for none."""
    if result.HasField("ref"):
        return str(result.ref.id)
    if result.HasField("refs"):
        names = [ref.id for ref in result.refs.refs.values()]
        if len(names) > 1:
            raise NotImplementedHere("a result of several platforms is not supported")
        return str(names[0]) if names else ""
    return str(result.ref_deprecated)


def definition(name: str) -> Any:
    """A result as a definition that a client can hand back as an input: a source of our own and the op after it."""
    source = wire.Op(source=wire.SourceOp(identifier=_REF + name)).SerializeToString()
    digest = "sha256:" + hashlib.sha256(source).hexdigest()
    last = wire.Op(inputs=[wire.Input(digest=digest)]).SerializeToString()
    whole = wire.Definition()
    getattr(whole, "def").extend([source, last])
    for op in (source, last):
        whole.metadata["sha256:" + hashlib.sha256(op).hexdigest()].description["solva"] = "result"
    return whole


def results_of(inputs: Any) -> dict[str, str]:
    """Names of results by input name; of definitions that ``definition`` made."""
    found = {}
    for key, value in inputs.items():
        for raw in getattr(value, "def"):
            identifier = wire.Op.FromString(raw).source.identifier
            if identifier.startswith(_REF):
                found[key] = identifier.removeprefix(_REF)
    return found


