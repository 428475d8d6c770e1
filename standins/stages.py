"""Stages: what a layer is made from, made once and kept until its recipe changes.

A stage is one directory over those of its parents and one layer. Its key is made of its recipe's text, of its
parent's key and of what it takes from this machine; a stage with that key in the cache is used as it is. A stage
is built aside and renamed into the cache when it is complete, so a failed or interrupted build changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from standins import chroot
from standins.layers import Compression, Layer, pack

HERE = Path(__file__).parent
FILES = HERE / "recipes" / "files"
_COMMON = ("layers.py", "chroot.py")  # a change there may change every layer


def cache_directory() -> Path:
    return Path(os.environ.get("SOLVA_STANDINS_CACHE", "/var/cache/solva/standins"))


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a recipe's `build` gets: where to put things and how to run a script in them."""

    root: Path  # the directory that becomes the layer
    lowers: tuple[Path, ...]  # those of the parents, lowest first
    work: Path  # scratch space, /mnt/work inside
    log: Path
    facts: dict[str, str]  # what the recipe finds out and the image's settings need

    def run_in(self, script: str, env: Mapping[str, str] | None = None) -> None:
        chroot.run_in(self.lowers, self.root, self.work, script, self.log, {**chroot.proxies(), **(env or {})})

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run a command of this machine, with nothing of our environment but the search path and proxies."""
        inherited = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root", "LC_ALL": "C.UTF-8"}
        chroot.run(command, self.log, {**inherited, **chroot.proxies(), **(env or {})})


@dataclass(frozen=True, slots=True)
class Stage:
    """How one layer is made."""

    name: str
    how: str  # for the image's history
    build: Callable[[Workshop], None]
    sources: tuple[Path, ...]  # files whose text is part of the recipe
    parent: Stage | None = None
    inputs: Callable[[], str] = lambda: ""  # what it takes from this machine
    compression: Compression = "gzip"
    skip: Callable[[str], bool] = lambda _: False

    def key(self) -> str:
        seen = hashlib.sha256()
        for source in (*(HERE / name for name in _COMMON), *self.sources):
            content = source.read_bytes()
            seen.update(f"{source.name} {len(content)}\n".encode() + content)
        seen.update(f"{self.compression} {self.inputs()}".encode())
        if self.parent is not None:
            seen.update(self.parent.key().encode())
        return seen.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Made:
    """A stage in the cache."""

    stage: Stage
    directory: Path
    layer: Layer
    facts: Mapping[str, str]
    parents: tuple[Made, ...]  # lowest first
    seconds: float  # that this run took to build it; 0 when it was there

    @property
    def root(self) -> Path:
        return self.directory / "root"

    def chain(self) -> list[Made]:
        """This stage and what it stands on, lowest first."""
        return [*self.parents, self]


class Cache:
    """Stages by key in a directory; safe against two processes at once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stages = directory / "stages"
        self.logs = directory / "logs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the cache against other processes; leftovers of one that was killed are removed."""
        self.stages.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        with open(self.directory / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self.stages.glob(".new-*"):
                _remove(leftover)
            yield

    def find(self, stage: Stage, parents: tuple[Made, ...]) -> Made | None:
        directory = self.stages / f"{stage.name}-{stage.key()}"
        try:
            saved = json.loads((directory / "stage.json").read_text())
        except FileNotFoundError:
            return None
        layer = Layer(
            directory / "layer", saved["digest"], saved["diff_id"], saved["size"], saved["compression"]
        )
        return Made(stage, directory, layer, saved["facts"], parents, 0.0)

    def make(self, stage: Stage, parents: tuple[Made, ...]) -> Made:
        """Build a stage and put it into the cache; an older one of the same name goes."""
        began = time.monotonic()
        log = self.logs / f"{stage.name}.log"
        log.unlink(missing_ok=True)
        aside = self.stages / f".new-{stage.name}"
        target = self.stages / f"{stage.name}-{stage.key()}"
        _remove(aside)
        try:
            (aside / "root").mkdir(parents=True)
            (aside / "work").mkdir()
            (aside / "root").chmod(0o755)
            facts: dict[str, str] = {}
            lowers = tuple(made.root for made in parents)
            stage.build(Workshop(aside / "root", lowers, aside / "work", log, facts))
            _remove(aside / "work")
            layer = pack(aside / "root", aside / "layer", stage.compression, stage.skip)
            saved = {
                "digest": layer.digest,
                "diff_id": layer.diff_id,
                "size": layer.size,
                "compression": layer.compression,
                "facts": facts,
            }
            (aside / "stage.json").write_text(json.dumps(saved, indent=1))
            aside.rename(target)
        except BaseException:
            _remove(aside)
            raise
        for old in self.stages.glob(f"{stage.name}-*"):
            if old != target and old.name[: -len(target.name.rpartition("-")[2])] == f"{stage.name}-":
                _remove(old)
        found = self.find(stage, parents)
        assert found is not None
        return Made(stage, found.directory, found.layer, found.facts, parents, time.monotonic() - began)


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def make_all(cache: Cache, stages: Sequence[Stage], tell: Callable[[Made], None]) -> dict[str, Made]:
    """Make these stages and those they stand on, as far as possible at the same time; by name.

    `tell` hears of each when it is there. The first failure is raised once what else runs has ended.
    """
    futures: dict[str, Future[Made]] = {}

    def make(stage: Stage) -> Made:
        parents: tuple[Made, ...] = ()
        if stage.parent is not None:
            parents = tuple(futures[stage.parent.name].result().chain())
        made = cache.find(stage, parents) or cache.make(stage, parents)
        tell(made)
        return made

    ordered: dict[str, Stage] = {}
    for stage in stages:
        line = [stage]
        while line[0].parent is not None:
            line.insert(0, line[0].parent)
        ordered.update((each.name, each) for each in line)
    # One thread each: a thread waits for its stage's parent, whose thread was started before.
    with cache.locked(), ThreadPoolExecutor(max_workers=max(1, len(ordered))) as pool:
        for name, stage in ordered.items():
            futures[name] = pool.submit(make, stage)
        return {name: future.result() for name, future in futures.items()}
