"""ONBUILD instruction: done when another build starts FROM the image"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.dockerfile.parser import parse_trigger
from solva.build.instructions.base import no_flags

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Onbuild:
    """The trigger as it is kept in the image."""

    node: Node
    trigger: str
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        stage.state.config["OnBuild"] = [*(stage.state.config.get("OnBuild") or []), self.trigger]


def parse(node: Node) -> Onbuild:
    from solva.build.instructions.registry import parse_command

    no_flags(node)
    trigger = re.sub(r"(?i)^\s*ONBUILD\s*", "", node.original)
    if not trigger:
        raise node.error("ONBUILD requires at least one argument")
    kind = trigger.split(None, 1)[0].upper()
    if kind == "ONBUILD":
        raise node.error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if kind in ("FROM", "MAINTAINER"):
        raise node.error(f"{kind} isn't allowed as an ONBUILD trigger")
    for document in node.heredocs:
        trigger += f"\n{document.content}{document.name}"
    parse_command(parse_trigger(trigger, node.escape, node.lines))
    return Onbuild(node, trigger)
