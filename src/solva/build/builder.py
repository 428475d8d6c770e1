"""From a Dockerfile and a context to an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solva.api.types.build import BuildOptions
from solva.build import cachetransfer
from solva.build.arguments import Arguments
from solva.build.cache import CacheRecord
from solva.build.classic import ClassicOutput
from solva.build.collaborators import (
    BaseImage,
    ClientSession,
    NoSession,
    Progress,
)
from solva.build.dockerfile.ast import Dockerfile, DockerfileError
from solva.build.dockerfile.parser import parse
from solva.build.graph import PlannedStage, plan
from solva.build.output import Output
from solva.build.platforms import host_platform
from solva.build.running import Build, ContextSource, NamedContext, Services
from solva.build.stagestate import DEFAULT_PATH, StageState
from solva.clock import rfc3339
from solva.errors import InvalidParameter
from solva.ids import short


@dataclass(frozen=True, slots=True)
class Solved:
    """What a build came to: the state of its target. Its layers stay for an hour without an image."""

    state: StageState
    options: BuildOptions
    unused: tuple[str, ...] = ()
    records: tuple[CacheRecord, ...] = ()       # of the steps of all stages


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
            for ref in options.cache_imports:
                await build.take_cache(ref)
            state = await build.run(target)
        return Solved(state, options, tuple(arguments.unused()), tuple(build.records.values()))

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

    async def image(self, solved: Solved, tags: Sequence[str], *, with_cache: bool = False) -> BaseImage:
        """The image of what was built, under ``tags``; ``with_cache``: it carries the cache of its steps."""
        state = solved.state
        config = state.finished(solved.options.labels)
        epoch = solved.options.build_args.get("SOURCE_DATE_EPOCH")
        if epoch:
            _dated(config, epoch)
        if with_cache:
            mine = [record for record in solved.records if record.chain_id in state.chain]
            config[cachetransfer.FIELD] = cachetransfer.packed(self._services.images, mine)
        return await self._services.images.create(config, state.layers, state.parent, list(tags))

    async def cache_image(self, solved: Solved, ref: str, *, every: bool) -> BaseImage:
        """An image that is the cache alone: of all stages, or of those steps that the result stands on."""
        images = self._services.images
        records = [record for record in solved.records if every or record.chain_id in solved.state.chain]
        diffs = cachetransfer.union(images, records)
        config = {"architecture": solved.state.image.get("architecture", ""), "os": solved.state.image.get("os", ""),
                  "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs},
                  cachetransfer.FIELD: cachetransfer.packed(images, records)}
        return await images.create(config, [], "", [ref])

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


def _dated(config: dict[str, Any], epoch: str) -> None:
    """Every time in an image's configuration is ``SOURCE_DATE_EPOCH``'s, at the latest."""
    try:
        stamp = rfc3339(int(epoch) * 10**9)
    except (ValueError, OverflowError):
        raise InvalidParameter(f"invalid SOURCE_DATE_EPOCH {epoch!r}: seconds since 1970 are expected") from None
    config["created"] = stamp
    for row in config.get("history") or ():
        row["created"] = min(str(row.get("created") or stamp), stamp)


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
