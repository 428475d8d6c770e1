"""SHELL ["program", "arg"]"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import no_flags

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Shell:
    """What the shell forms of RUN, CMD and ENTRYPOINT are given to."""

    node: Node
    words: tuple[str, ...]
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        stage.state.config["Shell"] = list(self.words)
        stage.state.note(f"SHELL [{' '.join(self.words)}]")


def parse(node: Node) -> Shell:
    no_flags(node)
    if node.json is None:
        raise node.error("SHELL requires the arguments to be in JSON form")
    if not node.json:
        raise node.error("SHELL requires at least one argument")
    return Shell(node, node.json)
