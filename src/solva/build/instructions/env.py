"""ENV name=value …"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import name_values

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Env:
    """Pairs as written; all values of one ENV see the variables from before it."""

    node: Node
    pairs: tuple[tuple[str, str], ...]
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        values = [(stage.expand(self.node, name), stage.expand(self.node, value)) for name, value in self.pairs]
        for name, value in values:
            if not name:
                raise self.node.error(f"invalid environment variable: ={value}")
            stage.state.set_env(name, value)
        stage.state.note("ENV " + " ".join(f"{name}={value}" for name, value in values))


def parse(node: Node) -> Env:
    return Env(node, tuple(name_values(node)))
