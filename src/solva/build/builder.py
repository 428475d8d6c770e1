"""From a Dockerfile and a context to an image: the graph of stages, and the running of those that are needed."""

from __future__ import annotations

import asyncio
import os
import platform as host
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solva.api.types.build import BuildOptions
from solva.build.arguments import Arguments
from solva.build.cache import LayerCache
from solva.build.cachemounts import CacheMounts
from solva.build.collaborators import BaseImage, Images, Progress, Snapshots, StepRunner
from solva.build.copyfiles import Tree
from solva.build.dockerfile.parser import parse, parse_trigger
from solva.build.failures import located
from solva.build.graph import PlannedStage, needed, plan, planned_source
from solva.build.instructions.base import Command
from solva.build.instructions.registry import parse_command
from solva.build.output import Channel, Output
from solva.build.stage import Stage
from solva.build.stagestate import StageState
from solva.errors import InvalidParameter, NotFound, SolvaError
from solva.ids import new_id, short

PARALLEL = 2
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


@dataclass(slots=True)
class Build:
    """One build under way. ``scratch`` is a directory of its own that goes with it."""

    services: Services
    options: BuildOptions
    context: Path
    scratch: Path
    output: Output
    auth: Any
    arguments: Arguments
    stages: list[PlannedStage]
    stack: AsyncExitStack
    finished: dict[int, asyncio.Future[StageState]] = field(default_factory=dict)
    trees: dict[str, asyncio.Task[Tree]] = field(default_factory=dict)
    images: dict[str, BaseImage] = field(default_factory=dict)
    total: int = 0
    step: int = 0

    # what COPY --from and mounts read

    async def tree(self, source: str) -> Tree:
        """The files of the context (""), a stage or an image, mounted until the build ends."""
        if source not in self.trees:
            self.trees[source] = asyncio.ensure_future(self._tree(source))
        return await self.trees[source]

    async def _tree(self, source: str) -> Tree:
        if not source:
            return Tree(str(self.context))
        chain = self.chain_of(source)
        key = f"build-{new_id()[:24]}"
        await self.services.snapshots.prepare(key, chain, init=False)
        self.stack.push_async_callback(self.services.snapshots.remove, key)
        return Tree(str(await self.services.snapshots.mount(key)))

    def chain_of(self, source: str) -> tuple[str, ...]:
        """The layers of a finished stage or a resolved image."""
        index = planned_source(self.stages, source)
        if index is not None:
            return self.finished[index].result().chain
        return self.images[source].chain

    async def image(self, ref: str, platform: str, channel: Channel) -> BaseImage:
        """A local image, or a pulled one."""
        if ref not in self.images or platform:
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
        self.total = sum(1 + len(self.stages[index].commands) for index in wanted)
        gate = asyncio.Semaphore(PARALLEL)
        for index in wanted:
            self.finished[index] = loop.create_future()
        channels = {index: self.output.channel() for index in wanted}
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
        self.announce(channel, planned.from_.node.original)
        try:
            for source in planned.images:
                await self.image(source, "", channel)
            state = await self._base(planned, channel)
        except SolvaError as error:
            raise located(error, name, planned.from_.node) from error
        channel.line(f" ---> {state.fingerprint()}")
        stage = Stage(self, state, channel, planned.from_.name)
        await self._triggers(stage, planned)
        for command in planned.commands:
            self.announce(channel, command.node.original)
            await self._step(stage, command)
        return state

    def announce(self, channel: Channel, text: str) -> None:
        self.step += 1
        channel.line(f"Step {self.step}/{self.total} : {text}")

    async def _base(self, planned: PlannedStage, channel: Channel) -> StageState:
        if planned.base_stage is not None:
            state = self.finished[planned.base_stage].result().fork()
        elif planned.base == "scratch":
            state = StageState.scratch(*_split(planned.platform or host_platform()))
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
        began = time.monotonic()
        stage.cached = False
        try:
            await command.apply(stage)
        except SolvaError as error:
            raise located(error, os.path.basename(self.options.dockerfile), command.node) from error
        except OSError as error:
            raise located(InvalidParameter(f"{command.node.name} failed: {error.strerror}: {error.filename}"),
                          os.path.basename(self.options.dockerfile), command.node) from error
        if stage.cached:
            stage.channel.line(" ---> Using cache")
            stage.channel.line(f" ---> {stage.state.fingerprint()}")
        else:
            stage.channel.line(f" ---> {stage.state.fingerprint()} ({time.monotonic() - began:.2f}s)")


class Builder:
    """Builds images; one for the engine."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def build(self, options: BuildOptions, context: Path, progress: Progress, *, dockerfile: bytes,
                    scratch: Path, auth: Any = None) -> str:
        """Build from the unpacked ``context``; the image's id. Raises before any output for a bad Dockerfile."""
        parsed = parse(dockerfile)
        arguments = Arguments(options, host_platform())
        stages = plan(parsed, arguments, options)
        target = _target(stages, options.target)
        output = Output(progress, options.quiet)
        for note in (*options.notes, *parsed.warnings):
            output.line(f"[Warning] {note}")
        async with AsyncExitStack() as stack:
            build = Build(self._services, options, context, scratch, output, auth, arguments, stages, stack)
            state = await build.run(target)
            record = await self._services.images.create(state.finished(options.labels), state.layers, state.parent,
                                                        list(options.tags))
        unused = arguments.unused()
        if unused:
            output.line(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed")
        self._report(output, options, record)
        return record.id

    def _report(self, output: Output, options: BuildOptions, record: BaseImage) -> None:
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


def _target(stages: list[PlannedStage], target: str) -> int:
    if not target:
        return len(stages) - 1
    for stage in reversed(stages):
        if stage.from_.name == target.lower():
            return stage.index
    if target.isdigit() and int(target) < len(stages):
        return int(target)
    raise InvalidParameter(f'target stage "{target}" could not be found')


def _fits(config: dict[str, Any], platform: str) -> bool:
    wanted_os, architecture, variant = _split(platform)
    return (config.get("os", "linux") == wanted_os and config.get("architecture", "") == architecture
            and (not variant or config.get("variant", "") in ("", variant)))


def _split(platform: str) -> tuple[str, str, str]:
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
