"""The name server's query log as a stream: the last lines, then what is written while somebody reads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from solva.kernel import inotify

_CHUNK = 256 << 10


async def read(path: Path, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
    """Whole lines. ``tail`` -1 is all there is. The server empties the file when it has grown to its limit."""
    changed = asyncio.Event()
    watch = inotify.Inotify() if follow else None
    try:
        with path.open("rb") as file:
            if watch is not None:
                watch.add(path, inotify.MODIFY, lambda *_: changed.set())
            data = file.read()
            lines = data.splitlines(keepends=True)
            for line in lines[len(lines) - tail if 0 <= tail < len(lines) else 0:]:
                yield line
            while watch is not None:
                await changed.wait()
                changed.clear()
                if os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)
                while data := file.read(_CHUNK):
                    yield data
    except FileNotFoundError:
        return
    finally:
        if watch is not None:
            watch.close()
