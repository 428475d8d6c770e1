"""Directories of ``RUN --mount=type=cache``: they outlive builds, until ``builder prune``."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from solva.kernel import files


class CacheMounts:
    """Under ``root``: ``<name>/data`` and ``<name>/label``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locks: dict[str, asyncio.Lock] = {}
        self._taken: set[str] = set()

    def path(self, name: str) -> Path:
        return self._root / name / "data"

    def describe(self, name: str, label: str) -> None:
        """Keep what the mount is called, for ``builder prune`` and disk usage."""
        (self._root / name / "label").write_text(label)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield

    @contextmanager
    def private(self, name: str) -> Iterator[Path]:
        """A directory nobody else uses meanwhile: the first one, or a further one when that is taken."""
        number = 0
        while (own := f"{name}-{number}" if number else name) in self._taken:
            number += 1
        self._taken.add(own)
        try:
            yield self.path(own)
        finally:
            self._taken.discard(own)

    def listed(self) -> list[tuple[str, str, int]]:
        """(name, label, bytes) of each. Slow: for a thread."""
        found = []
        for folder in sorted(self._root.glob("*")):
            label = folder / "label"
            found.append((folder.name, label.read_text() if label.exists() else "",
                          files.tree_size(folder / "data")))
        return found

    def remove(self, name: str) -> None:
        shutil.rmtree(self._root / name, ignore_errors=True)
