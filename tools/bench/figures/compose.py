"""The article's application by Compose: images built, volume there."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from tools.bench.figure import Aim, Figure
from tools.bench.sides import ROOT, CannotMeasure, Side

PRICES = ROOT / "examples" / "prices"
BUILT = ("app:1.0.0", "plot:1.0.0")
CACHE = Path(os.environ.get("SOLVA_BENCH_CACHE", "/var/cache/solva/bench"))


def archive(side: Side) -> Path:
    """The two images of the application as an archive, built once by ``side`` and kept by what they are made of."""
    digest = hashlib.sha256()
    for path in sorted(PRICES.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(PRICES)).encode() + path.read_bytes())
    kept = CACHE / f"prices-{digest.hexdigest()[:16]}.tar"
    if not kept.exists():
        if side.name != "solva":
            raise CannotMeasure("the application's images are built by Solva first")
        CACHE.mkdir(parents=True, exist_ok=True)
        side.cli("compose", "build", cwd=folder(side))
        made = side.folder / "prices.new"
        side.cli("save", "-o", str(made), *BUILT)
        shutil.move(made, kept)
    here = side.folder / "prices.tar"
    if not here.exists():
        shutil.copy(kept, here)
    return here


def folder(side: Side) -> Path:
    """The application's files, below the common folder. The article's no-break spaces, which Docker's Compose does
    not take for indentation, become spaces."""
    place = side.folder / "prices"
    if not place.exists():
        shutil.copytree(PRICES, place)
        file = place / "compose.yml"
        file.write_text(file.read_text().replace("\xa0", " "))
    return place


def compose(side: Side, *arguments: str) -> float:
    """`compose ARGUMENTS` on the application, under a name of ours; seconds."""
    return side.cli("compose", "-p", f"{side.prefix}-prices", *arguments, cwd=folder(side)).seconds


def images(side: Side) -> None:
    for name in ("mongo", "mongo-express"):
        side.image(name)
    side.load(archive(side))


def made_once(side: Side) -> None:
    """Images, and a volume with a database in it."""
    images(side)
    compose(side, "up", "-d")
    compose(side, "down", "-t", "1")


def running(side: Side) -> None:
    images(side)
    compose(side, "up", "-d")


def up(side: Side) -> float:
    return compose(side, "up", "-d")


def up_again(side: Side) -> float:
    return 1000 * compose(side, "up", "-d")


def ps(side: Side) -> float:
    return 1000 * compose(side, "ps")


def down(side: Side) -> float:
    return compose(side, "down")


def quick_down(side: Side) -> None:
    compose(side, "down", "-t", "1")


def bring_up(side: Side) -> None:
    compose(side, "up", "-d")


FIGURES = (
    Figure("up", "`compose up -d` of the example, images built, volume there", "s", up, Aim(ratio=0.6),
           prepare=made_once, after=quick_down, runs=5),
    Figure("up-again", "`compose up -d` with nothing to do", "ms", up_again, Aim(ratio=1.0), prepare=running),
    Figure("compose-ps", "`compose ps` of the example", "ms", ps, Aim(ratio=1.0), prepare=running),
    Figure("down", "`compose down` of the example", "s", down, Aim(value=3.0), prepare=images, before=bring_up,
           runs=3, warm_up=0, peer_runs=1),
)
