"""What a figure is: a name, what it is held to, and how one sample of it is taken on a side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tools.bench.sides import Side

Step = Callable[[Side], None]
Sample = Callable[[Side], float]


def nothing(side: Side) -> None:
    """No preparation is needed."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure is held to; ``better`` says whether less or more of it is good.

    ``ratio``: ours by Docker's, at most (or at least, when more is better). ``value``: ours alone, in the figure's
    unit. With neither the figure is only told.
    """

    ratio: float | None = None
    value: float | None = None
    better: Literal["less", "more"] = "less"

    def met(self, ours: float, theirs: float | None) -> bool | None:
        """Whether it is reached; None when that cannot be told (nothing asked for, or no peer)."""
        verdicts = []
        sign = 1 if self.better == "less" else -1
        if self.value is not None:
            verdicts.append(sign * ours <= sign * self.value)
        if self.ratio is not None and theirs:
            verdicts.append(sign * ours / theirs <= sign * self.ratio)
        return all(verdicts) if verdicts else None

    def text(self, unit: str) -> str:
        bound = "≤" if self.better == "less" else "≥"
        parts = []
        if self.ratio is not None:
            parts.append(f"{bound} {self.ratio:g} ×")
        if self.value is not None:
            parts.append(f"{bound} {self.value:g} {unit}")
        return ", ".join(parts) or "-"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    ``sample`` takes one measurement on a side and returns it in ``unit``; it times what it must itself, mostly by
    `Side.cli`, whose answer holds the seconds of the whole client process. ``prepare`` and ``cleanup`` run once a
    side, before and after its samples; ``before`` and ``after`` around each sample, outside what is measured. All of
    them may raise `sides.CannotMeasure`, whose text then stands in the table.
    """

    name: str
    title: str
    unit: str
    sample: Sample
    aim: Aim = field(default_factory=Aim)
    prepare: Step = nothing
    before: Step = nothing
    after: Step = nothing
    cleanup: Step = nothing
    runs: int = 9
    warm_up: int = 1
    peer_runs: int | None = None  # where the peer is so slow that fewer must do
    ours_alone: bool = False
