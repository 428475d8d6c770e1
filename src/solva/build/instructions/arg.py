"""ARG name[=default] …"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.dockerfile.words import split_words
from solva.build.instructions.base import no_flags

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Arg:
    """Names with their defaults as written; None without one."""

    node: Node
    pairs: tuple[tuple[str, str | None], ...]
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        shown = []
        for name, default in self.pairs:
            name = stage.expand(self.node, name)
            value = stage.arg_value(name, None if default is None else stage.expand(self.node, default))
            stage.state.set_arg(name, value)
            shown.append(name if value is None else f"{name}={value}")
        stage.state.note(f"ARG {' '.join(shown)}")


def parse(node: Node) -> Arg:
    no_flags(node)
    words = split_words(node.rest, node.escape)
    if not words:
        raise node.error("ARG requires at least one argument")
    pairs: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise node.error("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return Arg(node, tuple(pairs))
