"""A download that is cut while a piece is being written: what is kept is what came, once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from solva.registry import fetch
from solva.registry.client import Repository

DATA = os.urandom(6 << 20)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Answer:
    url = "http://registry/blob"

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._data), 300_000):
            yield self._data[at:at + 300_000]

    def close(self) -> None:
        pass


class Registry:
    async def blob(self, digest: str, offset: int = 0) -> tuple[Any, int]:
        return Answer(DATA[offset:]), offset


def test_cancelled_in_the_middle_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "partial"
    writing, go_on = threading.Event(), threading.Event()
    original = fetch._Partial.append

    def slow(self: Any, pieces: list[bytes]) -> None:
        if not writing.is_set():
            writing.set()
            go_on.wait(10)
        original(self, pieces)

    async def scene() -> None:
        registry = cast(Repository, Registry())
        monkeypatch.setattr(fetch._Partial, "append", slow)
        task = asyncio.create_task(fetch.fetch_blob(registry, DIGEST, len(DATA), target, lambda _: None))
        await asyncio.to_thread(writing.wait, 10)
        task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not task.done()          # the file is still written to: it must stay open
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        kept = target.read_bytes()
        assert kept
        assert kept == DATA[:len(kept)]
        await fetch.fetch_blob(registry, DIGEST, len(DATA), target, lambda _: None)
        assert target.read_bytes() == DATA

    asyncio.run(scene())
