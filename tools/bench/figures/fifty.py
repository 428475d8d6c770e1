"""Compose at size: fifty services of one process each, up, again, listed, down; the client's peak memory."""

from __future__ import annotations

from pathlib import Path

from tools.bench.figure import Aim, Figure
from tools.bench.sides import Side

COUNT = 50
FIVE = 5


def _file(side: Side, count: int) -> Path:
    place = side.folder / f"many{count}"
    place.mkdir(exist_ok=True)
    rows = "".join(f"  s{index:02}: {{image: busybox, init: true, command: sleep 1000000}}\n" for index in range(count))
    (place / "compose.yaml").write_text(f"services:\n{rows}")
    return place


def compose(side: Side, count: int, *arguments: str) -> float:
    """`compose ARGUMENTS` on the file of ``count`` services; seconds."""
    return side.cli("compose", "-p", f"{side.prefix}-many{count}", *arguments, cwd=_file(side, count)).seconds


def image(side: Side) -> None:
    side.image("busybox")


def gone(side: Side) -> None:
    compose(side, COUNT, "down", "-t", "1")


def there(side: Side) -> None:
    image(side)
    compose(side, COUNT, "up", "-d")


def five(side: Side) -> None:
    image(side)
    compose(side, FIVE, "up", "-d")


def five_gone(side: Side) -> None:
    compose(side, FIVE, "down", "-t", "1")


def memory(side: Side) -> float:
    """Peak memory of the client in MB."""
    done = side.cli("compose", "-p", f"{side.prefix}-many{COUNT}", "up", "-d", cwd=_file(side, COUNT))
    return done.memory / 1000


FIGURES = (
    Figure("up-50", "`compose up -d` of fifty one-process services", "s",
           lambda side: compose(side, COUNT, "up", "-d"), Aim(ratio=0.4), prepare=image, after=gone, runs=3,
           warm_up=0, peer_runs=2),
    Figure("down-50", "`compose down` of fifty one-process services", "s",
           lambda side: compose(side, COUNT, "down"), Aim(ratio=0.4), prepare=image,
           before=there, runs=3, warm_up=0, peer_runs=2),
    Figure("ps-50", "`compose ps` with fifty containers", "ms", lambda side: 1000 * compose(side, COUNT, "ps"),
           Aim(ratio=0.8), prepare=there, cleanup=gone),
    Figure("compose-memory", "peak memory of `compose up -d` of fifty services", "MB", memory, Aim(ratio=1.0),
           prepare=image, after=gone, runs=2, warm_up=0, peer_runs=1),
    Figure("up-again-5", "`compose up -d` of five services with nothing to do", "ms",
           lambda side: 1000 * compose(side, FIVE, "up", "-d"), Aim(ratio=0.8), prepare=five, cleanup=five_gone),
)
