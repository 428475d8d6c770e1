"""Builds: nine steps over a context of 4 MB, cold, cached, and with a file of the last step changed; stages beside one
another; the disk that images of one base take."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from tools.bench.figure import Aim, Figure
from tools.bench.sides import Side, Solva

TAG = "sbench-build:1"
_NINE = """FROM busybox
WORKDIR /app
ENV A=1
COPY requirements.txt .
RUN sleep 0.1; cat requirements.txt > installed
RUN mkdir -p /var/lib/x && cp installed /var/lib/x
COPY data data
RUN find data -type f | sort | xargs cat | md5sum > sums
COPY app.py .
CMD ["cat", "app.py"]
"""
_STAGE = "FROM busybox AS s{0}\nRUN i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo {1} > /s{0}\n"


def context(side: Side) -> Path:
    """The directory that is built, 40 files of 100 kB in it."""
    folder = side.folder / f"build-{side.name}"
    if not folder.exists():
        (folder / "data").mkdir(parents=True)
        chance = random.Random(os.urandom(8))   # what an earlier run left is not met again
        for index in range(40):
            (folder / "data" / f"{index}").write_bytes(chance.randbytes(100_000))
        (folder / "requirements.txt").write_text("nothing\n")
        (folder / "app.py").write_text("0\n")
        (folder / "Dockerfile").write_text(_NINE)
    return folder


def prepare(side: Side) -> None:
    side.image("busybox")
    context(side)


def build(side: Side, *flags: str, dockerfile: str = "Dockerfile") -> float:
    return side.cli("build", "-q", "-t", TAG, *flags, "-f", str(context(side) / dockerfile), str(context(side))).seconds


def cold(side: Side) -> float:
    return build(side, "--no-cache")


def warm(side: Side) -> None:
    prepare(side)
    build(side)


def cached(side: Side) -> float:
    return build(side)


def touch(side: Side) -> None:
    (context(side) / "app.py").write_text(os.urandom(8).hex())


def cleanup(side: Side) -> None:
    side.cli("rmi", "-f", TAG, check=False)
    shutil.rmtree(context(side), ignore_errors=True)


def four_stages(side: Side) -> None:
    """A Dockerfile of four stages that need nothing of one another, new ones each time."""
    side.image("busybox")
    mark = os.urandom(8).hex()
    stages = "".join(_STAGE.format(index, mark) for index in range(4))
    copies = "".join(f"COPY --from=s{index} /s{index} /\n" for index in range(4))
    (context(side) / "Dockerfile.four").write_text(f"{stages}FROM scratch\n{copies}")


def beside(side: Side) -> float:
    """The time of four stages by that of one after the other (four times a build of one)."""
    together = build(side, dockerfile="Dockerfile.four")
    serial = 0.0
    for index in range(4):
        mark = os.urandom(8).hex()
        (context(side) / "Dockerfile.one").write_text(_STAGE.format(index, mark))
        serial += build(side, dockerfile="Dockerfile.one")
    return together / serial


def disk(side: Side) -> float:
    """Megabytes that ten images of one base take where the engine keeps its data, its builds' caches among them."""
    store = side.engine.root / "data" if isinstance(side, Solva) else Path(
        f"/proc/{side.processes()['dockerd']}/root/var/lib/docker")

    def used() -> float:
        os.sync()   # blocks are given to a file when it is written out
        return sum(path.lstat().st_blocks * 512 for path in store.rglob("*") if not path.is_symlink()) / 1e6

    folder = context(side)
    before = used()
    for index in range(10):
        (folder / f"own-{index}").write_bytes(os.urandom(1_000_000))
        (folder / "Dockerfile.own").write_text(f"FROM busybox\nCOPY data /data\nCOPY own-{index} /own\n")
        side.cli("build", "-q", "-t", f"sbench-disk:{index}", "-f", str(folder / "Dockerfile.own"), str(folder))
    return used() - before


FIGURES = (
    Figure("build-cold", "nine steps, 4 MB context, nothing cached", "s", cold, Aim(ratio=0.8), prepare=prepare,
           cleanup=cleanup, runs=5),
    Figure("build-cached", "the same, all cached", "s", cached, Aim(ratio=0.4), prepare=warm, cleanup=cleanup, runs=7),
    Figure("build-last", "the same, a file of the last step changed", "s", cached, Aim(ratio=0.5), prepare=warm,
           before=touch, cleanup=cleanup, runs=7),
    Figure("build-stages", "four stages beside one another, by their serial time", "", beside, Aim(value=0.5),
           prepare=prepare, before=four_stages, cleanup=cleanup, runs=3),
    Figure("build-disk", "disk of ten images of one base (14 MB of layers)", "MB", disk, Aim(ratio=1.05),
           prepare=prepare, cleanup=cleanup, runs=1, warm_up=0),
)
