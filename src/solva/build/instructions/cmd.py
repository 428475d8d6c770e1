"""CMD ["program", "arg"] | CMD line for the shell"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import command_line, no_flags, quoted_list

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Cmd:
    """The default command."""

    node: Node
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        words = command_line(self.node, stage.state.shell)
        stage.state.config["Cmd"] = list(words)
        stage.state.config["ArgsEscaped"] = True
        stage.cmd_set = True
        stage.state.note(f"CMD {quoted_list(words)}")


def parse(node: Node) -> Cmd:
    no_flags(node)
    return Cmd(node)
