"""MAINTAINER name (deprecated, still read)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import exactly_one

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Maintainer:
    """The image's author."""

    node: Node
    author: str
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        stage.state.image["author"] = self.author
        stage.state.note(f"MAINTAINER {self.author}")


def parse(node: Node) -> Maintainer:
    return Maintainer(node, exactly_one(node))
