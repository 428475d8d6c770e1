"""VOLUME ["/path", …] | VOLUME /path …"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import no_flags

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Volume:
    """Paths that get a volume in every container. What a later step writes there is kept (unlike classic builds)."""

    node: Node
    paths: tuple[str, ...]
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        paths = [stage.expand(self.node, path) for path in self.paths]
        if any(not path for path in paths):
            raise self.node.error("VOLUME specified can not be an empty string")
        volumes = stage.state.config.get("Volumes") or {}
        stage.state.config["Volumes"] = {**volumes, **{path: {} for path in paths}}
        stage.state.note(f"VOLUME [{' '.join(paths)}]")


def parse(node: Node) -> Volume:
    no_flags(node)
    paths = node.json if node.json is not None else tuple(node.rest.split())
    if not paths:
        raise node.error("VOLUME requires at least one argument")
    return Volume(node, paths)
