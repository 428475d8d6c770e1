"""From a Dockerfile and a context to an image: the graph of stages, and the running of those that are needed."""

from __future__ import annotations

import asyncio
import os
import platform as host
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solva.api.types.build import BuildOptions
from solva.build.arguments import Arguments
from solva.build.cache import LayerCache, key_of
from solva.build.cachemounts import CacheMounts
from solva.build.classic import ClassicOutput
from solva.build.collaborators import (
    BaseImage,
    ClientSession,
    Images,
    NoSession,
    Progress,
    Snapshots,
    StepRunner,
)
from solva.build.copyfiles import Tree
from solva.build.dockerfile.ast import Dockerfile, DockerfileError
from solva.build.dockerfile.parser import parse, parse_trigger
from solva.build.failures import StepFailed, located
from solva.build.graph import PlannedStage, needed, plan, planned_source
from solva.build.instructions.base import Command
from solva.build.instructions.registry import parse_command
from solva.build.output import Channel, Output
from solva.build.stage import Stage
from solva.build.stagestate import DEFAULT_PATH, StageState
from solva.errors import InvalidParameter, NotFound, SolvaError
from solva.ids import new_id, short

PARALLEL = 2
ContextSource = Path | Callable[[], Awaitable[Path]]
_ARCHITECTURES = {"x86_64": ("amd64", ""), "aarch64": ("arm64", "v8"), "armv7l": ("arm", "v7"), "i686": ("386", ""),
                  "riscv64": ("riscv64", ""), "ppc64le": ("ppc64le", ""), "s390x": ("s390x", "")}


def host_platform() -> str:
    """This machine as Docker names platforms: ``linux/amd64``."""
    architecture, variant = _ARCHITECTURES.get(host.machine(), (host.machine(), ""))
    return f"linux/{architecture}" + (f"/{variant}" if variant and architecture != "arm64" else "")


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
    trees: dict[str, asyncio.Task[Tree]] = field(default_factory=dict)
    images: dict[str, BaseImage] = field(default_factory=dict)
    _sources: list[tuple[str, ...]] | None = None       # the chains of ``cachefrom``

    # what COPY --from and mounts read

    async def tree(self, source: str) -> Tree:
        """The files of the context (""), a stage or an image, mounted until the build ends."""
        if source not in self.trees:
            self.trees[source] = asyncio.ensure_future(self._tree(source))
        return await self.trees[source]

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
                if found is not None and platform and not _fits(found.config, platform):
                    found = None
            if found is None:
                found = await images.pull(ref, platform=platform, auth=_auth_for(self.auth, ref),
                                          progress=channel.status)
            self.images[ref] = found
        return self.images[ref]

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


@dataclass(frozen=True, slots=True)
class Solved:
    """What a build came to: the state of its target. Its layers stay for an hour without an image."""

    state: StageState
    options: BuildOptions
    unused: tuple[str, ...] = ()


class Builder:
    """Builds images; one for the engine."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def solve(self, options: BuildOptions, context: ContextSource, output: Output, *, dockerfile: bytes,
                    scratch: Path, auth: Any = None, session: ClientSession | None = None,
                    named: Mapping[str, NamedContext] | None = None) -> Solved:
        """Build all that the target needs; no image yet. Raises before any output for a bad Dockerfile. ``context``
        is the directory, or what fetches it when the first step needs it."""
        parsed = parse(dockerfile)
        arguments = Arguments(options, host_platform())
        named = named or {}
        stages = plan(parsed, arguments, options, named)
        target = target_of(stages, options.target)
        for note in options.notes:
            output.warn(note)
        self._check(parsed, dockerfile, options, output)
        async with AsyncExitStack() as stack:
            build = Build(self._services, options, context, scratch, output, auth, arguments, stages, stack,
                          session or NoSession(), named)
            state = await build.run(target)
        return Solved(state, options, tuple(arguments.unused()))

    def _check(self, parsed: Dockerfile, dockerfile: bytes, options: BuildOptions, output: Output) -> None:
        """Say what is doubtful about the file; DockerfileError where it asks for that to be an error."""
        from solva.build.lint.check import check
        from solva.build.lint.outline import violation

        report = check(parsed, dockerfile.decode("utf-8", "replace"), arguments=options.build_args,
                       base_env={"PATH": DEFAULT_PATH})
        for warning in report.warnings:
            output.warn(str(warning), warning.line)
        if report.fatal:
            raise DockerfileError(violation(report))

    async def image(self, solved: Solved, tags: Sequence[str]) -> BaseImage:
        """The image of what was built, under ``tags``."""
        state = solved.state
        return await self._services.images.create(state.finished(solved.options.labels), state.layers, state.parent,
                                                  list(tags))

    async def build(self, options: BuildOptions, context: Path, progress: Progress, *, dockerfile: bytes,
                    scratch: Path, auth: Any = None) -> str:
        """A classic build, from the unpacked ``context`` to the image; its id."""
        output = ClassicOutput(progress, options.quiet)
        solved = await self.solve(options, context, output, dockerfile=dockerfile, scratch=scratch, auth=auth)
        record = await self.image(solved, options.tags)
        output.findings()
        if solved.unused:
            output.warn(f"One or more build-args [{' '.join(solved.unused)}] were not consumed")
        self._report(output, options, record)
        return record.id

    def _report(self, output: ClassicOutput, options: BuildOptions, record: BaseImage) -> None:
        if options.quiet:
            output.always({"stream": f"{record.id}\n"})
            return
        output.always({"aux": {"ID": record.id}})
        output.line(f"Successfully built {short(record.id)}")
        for tag in options.tags:
            output.line(f"Successfully tagged {_familiar(tag)}")


def _familiar(tag: str) -> str:
    name = tag.rsplit("/", 1)[-1]
    return tag if ":" in name else f"{tag}:latest"


def target_of(stages: list[PlannedStage], target: str) -> int:
    """The index of the stage that is asked for. InvalidParameter for one that there is not."""
    if not target:
        return len(stages) - 1
    for stage in reversed(stages):
        if stage.from_.name == target.lower():
            return stage.index
    if target.isdigit() and int(target) < len(stages):
        return int(target)
    raise InvalidParameter(f'target stage "{target}" could not be found')


def _fits(config: dict[str, Any], platform: str) -> bool:
    wanted_os, architecture, variant = split_platform(platform)
    return (config.get("os", "linux") == wanted_os and config.get("architecture", "") == architecture
            and (not variant or config.get("variant", "") in ("", variant)))


def split_platform(platform: str) -> tuple[str, str, str]:
    """Operating system, architecture, variant."""
    parts = [*platform.lower().split("/"), "", ""]
    if not parts[1]:
        return "linux", parts[0], ""
    return parts[0], {"x86_64": "amd64", "aarch64": "arm64"}.get(parts[1], parts[1]), parts[2]


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
