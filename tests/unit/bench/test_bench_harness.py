"""The bench harness: pairing, aims, what a failing side does to a figure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


class Fake:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def clear(self) -> None:
        self.log.append(f"clear {self.name}")


def figure(**options: Any) -> Any:
    from tools.bench.figure import Figure

    options = {"runs": 3, "warm_up": 1} | options
    return Figure("f", "a figure", "ms", **options)


def measured(one: Any, log: list[str], runs: int | None = None) -> Any:
    from tools.bench.measure import measure
    from tools.bench.sides import Side

    return measure(one, [cast(Side, Fake("solva", log)), cast(Side, Fake("docker", log))], runs)


def test_sides_take_turns_and_the_warm_up_is_not_counted() -> None:
    log: list[str] = []

    def sample(side: Any) -> float:
        log.append(side.name)
        return float(len(log))

    result = measured(figure(sample=sample), log)
    assert log[:8] == ["docker", "solva", "solva", "docker", "docker", "solva", "solva", "docker"]
    assert log[8:] == ["clear solva", "clear docker"]
    assert result.samples == {"solva": [3.0, 6.0, 7.0], "docker": [4.0, 5.0, 8.0]}


def test_a_side_that_fails_is_left_out_with_its_reason() -> None:
    from tools.bench import report
    from tools.bench.figure import Aim
    from tools.bench.sides import CannotMeasure

    def sample(side: Any) -> float:
        if side.name == "docker":
            raise CannotMeasure("no such verb")
        return 5.0

    result = measured(figure(sample=sample, aim=Aim(ratio=0.5)), [])
    assert result.samples == {"solva": [5.0] * 3}
    assert result.met is None
    assert report.row(result) == "| a figure | 5 ms | - | - | ≤ 0.5 × | docker: no such verb |"


@pytest.mark.parametrize(("aim", "ours", "theirs", "met"), [
    ({"ratio": 0.5}, 4.0, 9.0, True),
    ({"ratio": 0.5}, 5.0, 9.0, False),
    ({"ratio": 1.0, "better": "more"}, 10.0, 9.0, True),
    ({"ratio": 1.0, "better": "more"}, 8.0, 9.0, False),
    ({"value": 3.0}, 3.5, None, False),
    ({"value": 3.0, "ratio": 0.5}, 2.0, 3.0, False),
    ({"ratio": 0.5}, 4.0, None, None),
    ({}, 4.0, 9.0, None),
])
def test_aims(aim: dict[str, Any], ours: float, theirs: float | None, met: bool | None) -> None:
    from tools.bench.figure import Aim

    assert Aim(**aim).met(ours, theirs) is met


def test_every_figure_has_a_name_of_its_own() -> None:
    from tools.bench.figures import areas

    assert {"run", "ps", "memory"} <= {figure.name for figure in areas()["engine"]}
