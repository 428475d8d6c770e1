"""Builds of BuildKit's clients: from a request to a result, and from a result to where it is wanted."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from solva.build import context as contexts
from solva.build.builder import Builder, Solved
from solva.build.buildkit import filesync
from solva.build.buildkit.exporters import Exporters
from solva.build.buildkit.options import build_options
from solva.build.buildkit.sessions import Session, Sessions
from solva.build.buildkit.status import Journal, StatusOutput, Vertex
from solva.build.cachetransfer import CacheExport
from solva.build.git import is_git
from solva.build.ignore import patterns_of
from solva.build.running import NamedContext
from solva.errors import InvalidParameter, NotImplementedHere, SolvaError
from solva.kernel import files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEEP = 600.0        # seconds that a finished build's progress can still be asked for
_UPLOAD = "http://buildkit-session/"


@dataclass(slots=True)
class KitBuild:
    """One build by its client's reference."""

    ref: str
    session: str
    journal: Journal = field(default_factory=Journal)
    results: dict[str, Solved] = field(default_factory=dict)
    returned: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    failure: SolvaError | None = None
    dockerfile: tuple[str, bytes] = ("", b"")       # of the last solve, for errors that show its lines


@dataclass(frozen=True, slots=True)
class _Definition:
    """The Dockerfile, what its ignore file leaves out of the context, the vertex that has loaded it, and the directory
    that it lies in (the whole context, where that does not come from a directory of the client)."""

    text: bytes
    excluded: list[str]
    vertex: Vertex
    folder: Path


class Solver:
    """``root`` is a directory of its own: ``contexts`` keeps what clients have sent, so that next time only what has
    changed is."""

    def __init__(self, root: Path, scratch: Path, builder: Builder, sessions: Sessions, exporters: Exporters) -> None:
        self._contexts = root
        self._scratch = scratch
        self._builder = builder
        self._sessions = sessions
        self._exporters = exporters
        self._builds: dict[str, KitBuild] = {}
        self._results: dict[str, Solved] = {}       # of all builds: one may stand on another's
        self._came = asyncio.Condition()
        self._locks: dict[str, asyncio.Lock] = {}

    # builds by reference

    async def begin(self, ref: str, session: str) -> KitBuild:
        build = KitBuild(ref, session)
        async with self._came:
            self._builds[ref] = build
            self._came.notify_all()
        return build

    async def find(self, ref: str) -> KitBuild:
        """The build of that reference; clients ask for it while they start it. InvalidParameter after a while."""
        try:
            async with asyncio.timeout(10), self._came:
                await self._came.wait_for(lambda: ref in self._builds)
                return self._builds[ref]
        except TimeoutError:
            raise InvalidParameter(f"no such job {ref}") from None

    def end(self, build: KitBuild) -> None:
        """Its progress stays for a while."""
        build.journal.close()
        asyncio.get_running_loop().call_later(KEEP, self._forget, build)

    def _forget(self, build: KitBuild) -> None:
        self._builds.pop(build.ref, None)
        for name in build.results:
            self._results.pop(name, None)

    def result(self, name: str) -> Solved:
        if name not in self._results:
            raise InvalidParameter(f"no such ref: {name}")
        return self._results[name]

    # solving

    async def solve(self, build: KitBuild, frontend: str, given: Mapping[str, str],
                    inputs: Mapping[str, str]) -> str:
        """Run a frontend; the name of its result. ``inputs``: names of results by the names of contexts."""
        if frontend not in ("dockerfile.v0", "gateway.v0"):
            raise NotImplementedHere(f"the frontend {frontend} is not supported, only Dockerfiles")
        if frontend == "gateway.v0" and "docker/dockerfile" not in given.get("source", ""):
            raise NotImplementedHere(f"the frontend {given.get('source', '')} is not supported, only docker/dockerfile")
        session = await self._sessions.get(build.session)
        options = build_options(given)
        async with AsyncExitStack() as stack:
            scratch = self._scratch / secrets.token_hex(8)
            scratch.mkdir(mode=0o700, parents=True)
            stack.push_async_callback(asyncio.to_thread, files.remove_tree, scratch)
            found = await self._dockerfile(build, session, options.dockerfile, scratch, given)
            source = _Context(self, build, session, given, found, stack)
            named = await self._named(build, session, given, inputs, stack)
            solved = await self._builder.solve(
                options, source.fetch, StatusOutput(build.journal, found.vertex, options.dockerfile, found.text),
                dockerfile=found.text, scratch=scratch, auth=None, session=session, named=named)
        name = secrets.token_hex(16)
        build.results[name] = self._results[name] = solved
        return name

    @asynccontextmanager
    async def mounted(self, name: str) -> AsyncIterator[Path]:
        """The files of a result."""
        async with self._exporters.root(self.result(name)) as root:
            yield root

    async def _dockerfile(self, build: KitBuild, session: Session, name: str, scratch: Path,
                          given: Mapping[str, str]) -> _Definition:
        target = scratch / "dockerfile"
        target.mkdir()
        remote = given.get("context", "")
        vertex = Vertex(build.journal, f"[internal] load build definition from {name}")
        if remote.startswith(_UPLOAD):
            with vertex:
                await self.upload(session, remote, target)
        elif remote and not remote.startswith("local:"):
            with Vertex(build.journal, f"[internal] load remote build context {remote}"):
                target = await self.remote(session, remote, target, name, given)
        else:
            with vertex:
                wanted = [name, f"{name}.dockerignore", ".dockerignore"]
                if name == "Dockerfile":
                    wanted.append("dockerfile")
                await filesync.receive(session, given.get("dockerfilekey") or "dockerfile", target, follow=wanted,
                                       include=wanted, progress=lambda size: vertex.transfer("transferring dockerfile:",
                                                                                             size))
        data = contexts.read_dockerfile(target, name)
        build.dockerfile = (name, data)
        ignore = await self._ignore_file(build, session, name, target, given)
        return _Definition(data, patterns_of(ignore) if ignore else [], vertex, target)

    async def describe(self, build: KitBuild, request: str, given: Mapping[str, str]) -> dict[str, bytes]:
        """A subrequest: what the Dockerfile offers (outline, targets) or what is doubtful about it (lint), as the
        metadata of a result without files."""
        from solva.build.buildkit.subrequests import answer

        session = await self._sessions.get(build.session)
        options = build_options(given)
        scratch = self._scratch / secrets.token_hex(8)
        scratch.mkdir(mode=0o700, parents=True)
        try:
            found = await self._dockerfile(build, session, options.dockerfile, scratch, given)
        finally:
            await asyncio.to_thread(files.remove_tree, scratch)
        return answer(request, options, found.text, found.excluded)

    async def _ignore_file(self, build: KitBuild, session: Session, name: str, target: Path,
                           given: Mapping[str, str]) -> str:
        """``<Dockerfile>.dockerignore`` beside the Dockerfile, else ``.dockerignore`` of the context."""
        own = target / f"{name}.dockerignore"
        if own.is_file():
            return own.read_text(errors="replace")
        if given.get("context", ""):
            found = target / ".dockerignore"
            return found.read_text(errors="replace") if found.is_file() else ""
        with Vertex(build.journal, "[internal] load .dockerignore") as vertex:
            folder = target.parent / "ignore"
            folder.mkdir()
            await filesync.receive(session, given.get("contextkey") or "context", folder, follow=[".dockerignore"],
                                   include=[".dockerignore"],
                                   progress=lambda size: vertex.transfer("transferring context:", size))
        found = folder / ".dockerignore"
        return found.read_text(errors="replace") if found.is_file() else ""

    async def _named(self, build: KitBuild, session: Session, given: Mapping[str, str], inputs: Mapping[str, str],
                     stack: AsyncExitStack) -> dict[str, NamedContext]:
        found = {}
        for key, value in given.items():
            if not key.startswith("context:"):
                continue
            name = key[8:].partition("::")[0]
            kind, _, rest = value.partition(":")
            if kind == "docker-image":
                found[name] = NamedContext(image=rest.removeprefix("//"))
            elif kind == "local":
                found[name] = NamedContext(directory=_Directory(self, build, session, rest, stack).fetch)
            elif is_git(value) or kind in ("http", "https"):
                found[name] = NamedContext(directory=_Remote(self, session, value, stack).fetch)
            elif kind == "input":
                found[name] = NamedContext(state=self.result(inputs.get(rest, "")).state)
            else:
                raise NotImplementedHere(f"the build context {name}={value} is not supported: an image "
                                         "(docker-image://), a directory, a git or http URL, or another build is")
        return found

    def folder(self) -> Path:
        """A new directory of this build's."""
        path = self._scratch / secrets.token_hex(8)
        path.mkdir(mode=0o755, parents=True)
        return path

    async def remote(self, session: Session, remote: str, target: Path, name: str, given: Mapping[str, str]) -> Path:
        """Fetch a context that is elsewhere."""
        agent = session.ssh("default") if remote.startswith(("git@", "ssh://")) else None
        async with AsyncExitStack() as stack:
            socket = await stack.enter_async_context(agent) if agent is not None else None
            return await contexts.fetch_remote(remote, target, name, given.get("contextsubdir", ""), socket)

    async def upload(self, session: Session, url: str, target: Path) -> None:
        """A context that the client sends as one archive (``docker build -``)."""
        from solva.buildkit import wire_pb2 as wire

        async def body() -> AsyncIterator[bytes]:
            path = "/" + url.removeprefix(_UPLOAD)
            async with session.open("/moby.upload.v1.Upload/Pull", wire.Bytes, {"urlpath": path}) as stream:
                await stream.send_request(end=True)
                async for message in stream:
                    yield message.data

        await contexts.unpack(body(), target)

    @asynccontextmanager
    async def kept(self, session: Session, name: str, excluded: list[str]) -> AsyncIterator[Path]:
        """The directory where the client's directory ``name`` is kept from build to build; a fresh one where another
        build has it in hand."""
        key = hashlib.sha256(repr((session.shared_key, name, excluded)).encode()).hexdigest()[:32]
        lock = self._locks.setdefault(key, asyncio.Lock())
        if not session.shared_key or lock.locked():
            folder = self._scratch / secrets.token_hex(8)
            folder.mkdir(mode=0o755, parents=True)
            try:
                yield folder
            finally:
                await asyncio.to_thread(files.remove_tree, folder)
            return
        async with lock:
            folder = self._contexts / key
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            yield folder

    # exporting

    async def export(self, build: KitBuild, result: str, exporters: list[tuple[str, dict[str, str]]],
                     caches: list[CacheExport]) -> dict[str, str]:
        """All exports, of the result and of the cache; the merged response."""
        session = await self._sessions.get(build.session)
        answer: dict[str, str] = {}
        inline = any(cache.kind == "inline" for cache in caches)
        for index, (kind, attrs) in enumerate(exporters):
            if kind:
                answer |= await self._exporters.export(kind, attrs, self.result(result), session, index, build.journal,
                                                       inline=inline)
        for cache in caches:
            if cache.kind == "registry":
                await self._exporters.cache(cache, self.result(result), session, build.journal)
        return answer


class _Directory:
    """A directory of the client, fetched when it is first needed."""

    def __init__(self, solver: Solver, build: KitBuild, session: Session, name: str, stack: AsyncExitStack,
                 excluded: list[str] | None = None) -> None:
        self._solver, self._build, self._session, self._stack = solver, build, session, stack
        self._name = name
        self._excluded = excluded or []
        self._lock = asyncio.Lock()
        self._folder: Path | None = None

    async def fetch(self) -> Path:
        async with self._lock:
            if self._folder is None:
                self._folder = await self._fetch()
            return self._folder

    async def _fetch(self) -> Path:
        label = "[internal] load build context" if self._name == "context" else f"[context {self._name}] load"
        with Vertex(self._build.journal, label) as vertex:
            folder = await self._stack.enter_async_context(
                self._solver.kept(self._session, self._name, self._excluded))
            await filesync.receive(self._session, self._name, folder, exclude=self._excluded,
                                   progress=lambda size: vertex.transfer("transferring context:", size))
            vertex.transfer("transferring context:", done=True)
            return folder


class _Remote:
    """A context by another name that is elsewhere."""

    def __init__(self, solver: Solver, session: Session, url: str, stack: AsyncExitStack) -> None:
        self._solver, self._session, self._url, self._stack = solver, session, url, stack
        self._task: asyncio.Task[Path] | None = None

    async def fetch(self) -> Path:
        if self._task is None:
            self._task = asyncio.ensure_future(self._fetch())
        return await self._task

    async def _fetch(self) -> Path:
        folder = self._solver.folder()
        self._stack.push_async_callback(asyncio.to_thread, files.remove_tree, folder)
        return await self._solver.remote(self._session, self._url, folder, "", {})


class _Context(_Directory):
    """The main context: a directory of the client, or the archive that came with the Dockerfile in it."""

    def __init__(self, solver: Solver, build: KitBuild, session: Session, given: Mapping[str, str],
                 definition: _Definition, stack: AsyncExitStack) -> None:
        super().__init__(solver, build, session, given.get("contextkey") or "context", stack, definition.excluded)
        self._there = definition.folder if given.get("context", "") else None
        self._ignore_name = given.get("filename") or "Dockerfile"

    async def _fetch(self) -> Path:
        if self._there is None:
            return await super()._fetch()
        await asyncio.to_thread(contexts.apply_ignore, self._there, self._ignore_name)
        return self._there
