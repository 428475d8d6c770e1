"""Taking samples: warm-up, then the sides in turn, so that both meet the machine in the same mood."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tools.bench.figure import Figure
from tools.bench.sides import CannotMeasure, Side


@dataclass(slots=True)
class Result:
    """The samples of a figure by side, and why a side has none."""

    figure: Figure
    samples: dict[str, list[float]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def median(self, side: str) -> float | None:
        values = self.samples.get(side)
        return statistics.median(values) if values else None

    @property
    def ratio(self) -> float | None:
        ours, theirs = self.median("solva"), self.median("docker")
        return ours / theirs if ours is not None and theirs else None

    @property
    def met(self) -> bool | None:
        ours = self.median("solva")
        return None if ours is None else self.figure.aim.met(ours, self.median("docker"))


def measure(figure: Figure, sides: Sequence[Side], runs: int | None = None) -> Result:
    """All samples of ``figure``. A side that fails is left out from there, with its reason; the other goes on."""
    result = Result(figure)
    alive = [side for side in sides if side.name == "solva" or not figure.ours_alone]
    prepared: list[Side] = []

    def attempt(side: Side, step: Callable[[], None]) -> None:
        try:
            step()
        except CannotMeasure as error:
            result.problems.setdefault(side.name, str(error))
            if side in alive:
                alive.remove(side)

    def once(side: Side, keep: bool) -> None:
        figure.before(side)
        try:
            value = figure.sample(side)
        finally:
            figure.after(side)
        if keep:
            result.samples.setdefault(side.name, []).append(value)

    try:
        for side in list(alive):
            prepared.append(side)
            attempt(side, lambda side=side: figure.prepare(side))
        for turn in range(figure.warm_up + (runs or figure.runs)):
            # A B, B A, A B: neither always meets what the other left behind
            for side in list(alive) if turn % 2 else list(reversed(alive)):
                if side.name == "docker" and figure.peer_runs and turn - figure.warm_up >= figure.peer_runs:
                    continue
                attempt(side, lambda side=side, keep=turn >= figure.warm_up: once(side, keep))
    finally:
        for side in prepared:
            attempt(side, lambda side=side: figure.cleanup(side))
            try:
                side.clear()
            except Exception as error:
                print(f"bench: clearing {side.name} after {figure.name}: {error}", file=sys.stderr)
    return result
