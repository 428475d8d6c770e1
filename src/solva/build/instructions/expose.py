"""EXPOSE port[-port][/protocol] …"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import no_flags

if TYPE_CHECKING:
    from solva.build.stage import Stage

_PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class Expose:
    """Ports the image's processes listen on."""

    node: Node
    words: tuple[str, ...]
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        texts = sorted(text for word in self.words for text in stage.expand_words(self.node, word))
        ports = [port for text in texts for port in self._ports(text)]
        exposed = stage.state.config.get("ExposedPorts") or {}
        stage.state.config["ExposedPorts"] = {**exposed, **{port: {} for port in ports}}
        stage.state.note(f"EXPOSE [{' '.join(ports)}]")

    def _ports(self, text: str) -> list[str]:
        """``[ip:][host:]container[-end][/proto]``; only the container's side counts."""
        body, slash, protocol = text.partition("/")
        protocol = protocol.lower() if slash else "tcp"
        if protocol not in _PROTOCOLS:
            raise self.node.error(f'invalid port: "{text}": invalid proto: {protocol}')
        container = body.rpartition(":")[2]
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", container)
        if match is None:
            raise self.node.error(f"invalid containerPort: {container}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last > 65535 or last < first:
            raise self.node.error(f"invalid containerPort: {container}")
        return [f"{port}/{protocol}" for port in range(first, last + 1)]


def parse(node: Node) -> Expose:
    no_flags(node)
    words = tuple(node.rest.split())
    if not words:
        raise node.error("EXPOSE requires at least one argument")
    return Expose(node, words)
