"""A build under way: the stages that are needed, two at a time, and what they read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solva.api.types.build import BuildOptions
from solva.build.arguments import Arguments
from solva.build.cache import CacheRecord, LayerCache, key_of
from solva.build.cachemounts import CacheMounts
from solva.build.collaborators import (
    BaseImage,
    ClientSession,
    Images,
    Snapshots,
    StepRunner,
)
from solva.build.copyfiles import Tree
from solva.build.dockerfile.parser import parse_trigger
from solva.build.failures import StepFailed, located
from solva.build.graph import PlannedStage, needed, planned_source
from solva.build.instructions.base import Command
from solva.build.instructions.registry import parse_command
from solva.build.output import Channel, Output
from solva.build.platforms import fits, host_platform, split_platform
from solva.build.stage import Stage
from solva.build.stagestate import StageState
from solva.errors import InvalidParameter, NotFound, SolvaError
from solva.ids import new_id

if TYPE_CHECKING:
    from solva.build.git import GitSource

PARALLEL = max(2, 2 * (os.cpu_count() or 1))     # stages wait for more than processors
ContextSource = Path | Callable[[], Awaitable[Path]]


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of all builds."""

    snapshots: Snapshots
    images: Images
    steps: StepRunner
    cache: LayerCache
    cache_mounts: CacheMounts


@dataclass(frozen=True, slots=True)
class NamedContext:
    """A context besides the main one (``--build-context``): an image's reference, the result of another build, or a
    directory."""

    image: str = ""
    state: StageState | None = None
    directory: Callable[[], Awaitable[Path]] | None = None


@dataclass(slots=True)
class Build:
    """One build under way. ``scratch`` is a directory of its own that goes with it."""

    services: Services
    options: BuildOptions
    context: ContextSource
    scratch: Path
    output: Output
    auth: Any
    arguments: Arguments
    stages: list[PlannedStage]
    stack: AsyncExitStack
    session: ClientSession
    named: Mapping[str, NamedContext]
    finished: dict[int, asyncio.Future[StageState]] = field(default_factory=dict)
    trees: dict[str, asyncio.Future[Tree]] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)      # trees that are neither a stage's nor an image's
    images: dict[str, BaseImage] = field(default_factory=dict)
    records: dict[str, CacheRecord] = field(default_factory=dict)       # of all steps, by key
    _sources: list[tuple[str, ...]] | None = None       # the chains of ``cachefrom``

    # what COPY --from and mounts read

    async def tree(self, source: str) -> Tree:
        """The files of the context (""), a stage or an image, mounted until the build ends."""
        if source not in self.trees:
            self.trees[source] = asyncio.ensure_future(self._tree(source))
        return await self.trees[source]

    async def repository(self, source: GitSource) -> str:
        """Fetch a Git repository; the name under which ``tree`` has its files."""
        from solva.build.git import fetch

        name = f"git {source!r}"
        if name not in self.trees:
            folder = self.scratch / f"git-{new_id()[:12]}"
            folder.mkdir()
            agent = self.session.ssh("default") if source.over_ssh else None
            socket = await self.stack.enter_async_context(agent) if agent is not None else None
            root = await fetch(source, folder, socket)
            self.directories.add(name)
            done: asyncio.Future[Tree] = asyncio.get_running_loop().create_future()
            done.set_result(Tree(str(root)))
            self.trees[name] = done
        return name

    async def _tree(self, source: str) -> Tree:
        if not source:
            return Tree(str(self.context if isinstance(self.context, Path) else await self.context()))
        named = self.named.get(source)
        if named is not None and named.directory is not None:
            return Tree(str(await named.directory()))
        chain = self.chain_of(source) or ()
        key = f"build-{new_id()[:24]}"
        await self.services.snapshots.prepare(key, chain, init=False)
        self.stack.push_async_callback(self.services.snapshots.remove, key)
        return Tree(str(await self.services.snapshots.mount(key)))

    def chain_of(self, source: str) -> tuple[str, ...] | None:
        """The layers of a finished stage, a resolved image or a context that is one; None: it is a directory."""
        if source in self.directories:
            return None
        named = self.named.get(source)
        if named is not None and named.directory is not None:
            return None
        if named is not None and named.state is not None:
            return named.state.chain
        index = planned_source(self.stages, source) if named is None else None
        if index is not None:
            return self.finished[index].result().chain
        return self.images[source].chain

    async def image(self, ref: str, platform: str, channel: Channel) -> BaseImage:
        """A local image, or a pulled one. A context's name stands for the image that it is."""
        named = self.named.get(ref)
        if named is not None and named.image:
            self.images[ref] = await self.image(named.image, platform, channel)
        elif ref not in self.images or platform:
            images = self.services.images
            found: BaseImage | None = None
            if not self.options.pull:
                try:
                    found = images.resolve(ref)
                except NotFound:
                    pass
                if found is not None and platform and not fits(found.config, platform):
                    found = None
            if found is None:
                found = await images.pull(ref, platform=platform, auth=await self._login(ref), progress=channel.status)
            self.images[ref] = found
        return self.images[ref]

    async def _login(self, ref: str) -> Any:
        """Credentials for the registry of ``ref``: those that came with the request, else the client is asked."""
        given = _auth_for(self.auth, ref)
        if given is not None:
            return given
        head, slash, _ = ref.partition("/")
        host = head if slash and ("." in head or ":" in head or head == "localhost") else "registry-1.docker.io"
        found = await self.session.credentials(host)
        if found is None:
            return None
        from solva.registry.auth import from_wire

        return from_wire({"username": found[0], "password": found[1]})

    async def take_cache(self, ref: str) -> None:
        """Take over the cache that an image carries."""
        from solva.build.cachetransfer import take_from

        async def pull(name: str) -> BaseImage:
            return await self.services.images.pull(name, platform="", auth=await self._login(name),
                                                   progress=lambda value: None)

        await take_from(ref, self.services.images, self.services.cache, pull, self.output.warn)

    # stages

    async def run(self, target: int) -> StageState:
        """Build all that ``target`` needs; the target's state."""
        wanted = needed(self.stages, target)
        loop = asyncio.get_running_loop()
        self.output.start(sum(1 + len(self.stages[index].commands) for index in wanted))
        gate = asyncio.Semaphore(PARALLEL)
        for index in wanted:
            self.finished[index] = loop.create_future()
        channels = {index: self.output.channel(self.stages[index].from_.name, index, self.stages[index].nodes)
                    for index in wanted}
        try:
            async with asyncio.TaskGroup() as group:
                for index in wanted:
                    group.create_task(self._stage(index, channels[index], gate))
        except BaseExceptionGroup as errors:
            self.output.flush()
            raise _first(errors) from None
        finally:
            for future in self.finished.values():
                future.cancel()
        return self.finished[target].result()

    async def _stage(self, index: int, channel: Channel, gate: asyncio.Semaphore) -> None:
        planned = self.stages[index]
        for other in planned.stages:
            await self.finished[other]
        async with gate:
            try:
                state = await self._build_stage(planned, channel)
            finally:
                channel.close()
        self.finished[index].set_result(state)

    async def _build_stage(self, planned: PlannedStage, channel: Channel) -> StageState:
        name = self.options.dockerfile
        channel.begin(planned.from_.node)
        try:
            for source in planned.images:
                if source not in self.named or self.named[source].image:
                    await self.image(source, "", channel)
            state = await self._base(planned, channel)
        except SolvaError as error:
            channel.fail(str(error))
            raise located(error, name, planned.from_.node) from error
        channel.end(state.fingerprint(), cached=None)
        stage = Stage(self, state, channel, planned.from_.name)
        await self._triggers(stage, planned)
        for command in planned.commands:
            channel.begin(command.node)
            await self._step(stage, command)
        return state

    def may_reuse(self, chain: tuple[str, ...]) -> bool:
        """Whether a cached layer may be taken: with ``cachefrom`` only where a local image named there has it."""
        if not self.options.cache_from:
            return True
        if self._sources is None:
            self._sources = []
            for name in self.options.cache_from:
                try:
                    self._sources.append(self.services.images.resolve(name).chain)
                except NotFound:
                    continue
        return any(source[:len(chain)] == chain for source in self._sources)

    def _seen(self, stage: Stage, command: Command) -> bool:
        """Whether a step that changed only the configuration was done before, with the same result."""
        state = stage.state
        key = key_of(state.chain, "CONFIGURATION", command.node.original, state.fingerprint())
        cache = self.services.cache
        known = cache.source(key) is not None
        if not known:
            cache.put_source(key, "")
        return known and not self.options.no_cache and self.may_reuse(state.chain)

    async def _base(self, planned: PlannedStage, channel: Channel) -> StageState:
        if planned.base_stage is not None:
            state = self.finished[planned.base_stage].result().fork()
        elif planned.base == "scratch":
            state = StageState.scratch(*split_platform(planned.platform or host_platform()))
        elif (named := self.named.get(planned.base)) is not None and not named.image:
            if named.state is None:
                raise InvalidParameter(f"the context {planned.base} is a directory; FROM needs an image")
            state = named.state.fork()
        else:
            image = await self.image(planned.base, planned.platform, channel)
            state = StageState.of_image(image.id, image.config, image.chain)
        return state

    async def _triggers(self, stage: Stage, planned: PlannedStage) -> None:
        """The base image's ONBUILD instructions."""
        triggers = stage.state.config.pop("OnBuild", None) or []
        if not triggers:
            return
        stage.channel.line(f"# Executing {len(triggers)} build trigger{'s' if len(triggers) > 1 else ''}")
        for trigger in triggers:
            command = parse_command(parse_trigger(trigger, "\\", planned.from_.node.lines))
            for source in command.sources:
                if planned_source(self.stages, source) is None:
                    await self.image(source, "", stage.channel)
            stage.channel.line(f" ---> {trigger}")
            await self._step(stage, command)

    async def _step(self, stage: Stage, command: Command) -> None:
        stage.cached = False
        chain = stage.state.chain
        try:
            await command.apply(stage)
        except SolvaError as error:
            stage.channel.fail(error.process if isinstance(error, StepFailed) else str(error))
            raise located(error, os.path.basename(self.options.dockerfile), command.node) from error
        except OSError as error:
            failure = InvalidParameter(f"{command.node.name} failed: {error.strerror}: {error.filename}")
            stage.channel.fail(str(failure))
            raise located(failure, os.path.basename(self.options.dockerfile), command.node) from error
        cached = stage.cached or (stage.state.chain == chain and self._seen(stage, command))
        stage.channel.end(stage.state.fingerprint(), cached=cached)


def _auth_for(auth: Any, ref: str) -> Any:
    """X-Registry-Config holds one entry a registry; ImageService takes the one that counts."""
    if not isinstance(auth, dict):
        return None
    head, slash, _ = ref.partition("/")
    registry = head if slash and ("." in head or ":" in head or head == "localhost") else "docker.io"
    names = (registry, "https://index.docker.io/v1/", "index.docker.io") if registry == "docker.io" else (registry,)
    return next((auth[name] for name in names if name in auth), None)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell: one meant for a user before any other."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [errors]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, SolvaError)), leaves[0])
