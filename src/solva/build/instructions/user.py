"""USER name|uid[:group|gid]"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import exactly_one

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class User:
    """Who runs what follows, and the image's processes."""

    node: Node
    user: str
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        stage.state.config["User"] = stage.expand(self.node, self.user)
        stage.state.note(f"USER {stage.state.config['User']}")


def parse(node: Node) -> User:
    return User(node, exactly_one(node))
