"""ENTRYPOINT ["program", "arg"] | ENTRYPOINT line for the shell"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import command_line, no_flags, quoted_list

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """The entrypoint; a CMD inherited from the base image no longer fits it and goes."""

    node: Node
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        words = command_line(self.node, stage.state.shell)
        stage.state.config["Entrypoint"] = list(words)
        stage.state.config["ArgsEscaped"] = True
        if not stage.cmd_set:
            stage.state.config.pop("Cmd", None)
        stage.state.note(f"ENTRYPOINT {quoted_list(words)}")


def parse(node: Node) -> Entrypoint:
    no_flags(node)
    return Entrypoint(node)
