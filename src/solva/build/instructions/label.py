"""LABEL name=value …"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import name_values

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Label:
    """Pairs as written."""

    node: Node
    pairs: tuple[tuple[str, str], ...]
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        values = [(stage.expand(self.node, name), stage.expand(self.node, value)) for name, value in self.pairs]
        labels = stage.state.config.get("Labels") or {}
        stage.state.config["Labels"] = {**labels, **dict(values)}
        stage.state.note("LABEL " + " ".join(f"{name}={value}" for name, value in values))


def parse(node: Node) -> Label:
    return Label(node, tuple(name_values(node)))
