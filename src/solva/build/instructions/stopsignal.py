"""STOPSIGNAL name|number"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import exactly_one

if TYPE_CHECKING:
    from solva.build.stage import Stage

_REALTIME = re.compile(r"RTMIN(\+([0-9]|1[0-5]))?|RTMAX(-([0-9]|1[0-4]))?")


@dataclass(frozen=True, slots=True)
class StopSignal:
    """The signal that asks the image's processes to end."""

    node: Node
    signal: str
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        value = stage.expand(self.node, self.signal)
        if not _valid(value):
            raise self.node.error(f"invalid signal: {value}")
        stage.state.config["StopSignal"] = value
        stage.state.note(f"STOPSIGNAL {value}")


def _valid(text: str) -> bool:
    if re.fullmatch(r"[0-9]{1,4}", text):
        return 0 < int(text) <= 64
    name = text.upper().removeprefix("SIG")
    return "SIG" + name in signal.Signals.__members__ or _REALTIME.fullmatch(name) is not None


def parse(node: Node) -> StopSignal:
    return StopSignal(node, exactly_one(node))
