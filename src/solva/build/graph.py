"""The stages of a Dockerfile and what each needs; all syntax is checked here, before anything is done."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from solva.api.types.build import BuildOptions
from solva.build.arguments import Arguments
from solva.build.dockerfile.ast import Dockerfile, DockerfileError, Node
from solva.build.dockerfile.words import Expander
from solva.build.instructions import from_
from solva.build.instructions.arg import Arg
from solva.build.instructions.base import Command, expanding
from solva.build.instructions.registry import parse_command


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """``base_stage``: index of the stage it is FROM, else None and ``base`` is an image (or "scratch").

    ``stages``: indexes of all stages it needs; ``images``: other images it copies or mounts from.
    """

    index: int
    from_: from_.From
    base: str
    base_stage: int | None
    platform: str
    commands: tuple[Command, ...]
    stages: tuple[int, ...]
    images: tuple[str, ...]

    @property
    def nodes(self) -> list[Node]:
        """Its instructions, FROM first."""
        return [self.from_.node, *(command.node for command in self.commands)]


def plan(parsed: Dockerfile, arguments: Arguments, options: BuildOptions,
         named: Container[str] = ()) -> list[PlannedStage]:
    """All stages in order. ``named``: names of the client's own contexts, which stand before stages and images of the
    same name. Raises DockerfileError."""
    heads: list[tuple[from_.From, list[Command]]] = []
    for node in parsed.nodes:
        if node.name == "FROM":
            heads.append((from_.parse(node), []))
            continue
        command = parse_command(node)
        if heads:
            heads[-1][1].append(command)
        elif isinstance(command, Arg):
            _global_arg(node, command, arguments)
        else:
            raise node.error("no build stage in current context")
    if not heads:
        raise DockerfileError("no build stage in current context")
    stages: list[PlannedStage] = []
    for index, (head, commands) in enumerate(heads):
        stages.append(_stage(index, head, commands, stages, arguments, options, named))
    return stages


def _global_arg(node: Node, command: Arg, arguments: Arguments) -> None:
    for name, default in command.pairs:
        found, value = arguments.given(name)
        if not found:
            value = None if default is None else _expand(node, default, arguments)
        if value is not None:
            arguments.scope[name] = value


def _expand(node: Node, word: str, arguments: Arguments) -> str:
    try:
        return Expander(arguments.scope, node.escape).word(word)
    except DockerfileError as error:
        raise expanding(node, word, error) from None


def _stage(index: int, head: from_.From, commands: list[Command], before: list[PlannedStage], arguments: Arguments,
           options: BuildOptions, named: Container[str]) -> PlannedStage:
    base = _expand(head.node, head.image, arguments)
    if not base:
        raise head.node.error(f"base name ({head.image}) should not be blank")
    platform = _expand(head.node, head.platform, arguments) or options.platform
    base_stage = None if base in named else next(
        (stage.index for stage in reversed(before) if stage.from_.name == base.lower()), None)
    stages = [] if base_stage is None else [base_stage]
    images: list[str] = []
    for command in commands:
        for source in command.sources:
            if source.isdigit() and int(source) >= index:
                raise command.node.error(f"invalid stage index {source}")
            found = None if source in named else planned_source(before, source)
            if found is None and head.name and source.lower() == head.name:
                raise command.node.error(f"circular dependency detected on stage: {head.name}")
            if found is None:
                images.append(source)
            else:
                stages.append(found)
    return PlannedStage(index, head, base, base_stage, platform, tuple(commands), tuple(dict.fromkeys(stages)),
                        tuple(dict.fromkeys(images)))


def planned_source(stages: list[PlannedStage], source: str) -> int | None:
    """The index of the stage that ``--from=source`` means; None: it is an image."""
    for stage in reversed(stages):
        if stage.from_.name and stage.from_.name == source.lower():
            return stage.index
    return int(source) if source.isdigit() and int(source) < len(stages) else None


def needed(stages: list[PlannedStage], target: int) -> list[int]:
    """Indexes of the stages that ``target`` needs, itself included, in order."""
    wanted: set[int] = set()
    pending = [target]
    while pending:
        index = pending.pop()
        if index not in wanted:
            wanted.add(index)
            pending.extend(stages[index].stages)
    return sorted(wanted)
