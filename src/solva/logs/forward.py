"""Log drivers that send elsewhere: the engine reads what conmon writes and passes it on.

The file is the buffer (it is also what ``docker logs`` shows, as Docker's cache of such a driver): while no engine
runs, or the receiver is away, nothing is lost, and sending goes on where it stopped (``<log>.sent``).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from solva.kernel import inotify
from solva.logs.k8sfile import parse

_CHUNK = 256 << 10
_RETRY = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry. ``moment``: RFC 3339; ``stream``: 1 stdout, 2 stderr; ``whole`` False: it goes on in the next."""

    moment: str
    stream: int
    text: bytes
    whole: bool


class Sink(Protocol):
    """Where lines go."""

    async def send(self, lines: list[Line]) -> None:
        """All of them, in order. OSError when it cannot."""
        ...

    def close(self) -> None: ...


async def run(path: Path, sink: Sink, ended: asyncio.Event) -> None:
    """Pass lines on until the container has ended and all is sent."""
    told = False
    try:
        async for lines, mark in _follow(path, ended):
            while True:
                try:
                    await sink.send(lines)
                    break
                except OSError as error:
                    if not told:
                        _log.error("log %s: cannot send: %s; trying on every %d s", path, error, _RETRY)
                        told = True
                    if ended.is_set():
                        return
                    await asyncio.wait({asyncio.ensure_future(ended.wait())}, timeout=_RETRY)
            told = False
            _remember(path, mark)
    finally:
        sink.close()


def _marks(path: Path) -> tuple[int, int]:
    try:
        inode, _, offset = Path(f"{path}.sent").read_text().partition(" ")
        return int(inode), int(offset)
    except (OSError, ValueError):
        return 0, 0


def _remember(path: Path, mark: tuple[int, int]) -> None:
    try:
        temporary = Path(f"{path}.sent.tmp")
        temporary.write_text(f"{mark[0]} {mark[1]}")
        os.rename(temporary, f"{path}.sent")
    except OSError:      # the container's directory has gone
        pass


async def _follow(path: Path, ended: asyncio.Event) -> AsyncIterator[tuple[list[Line], tuple[int, int]]]:
    """(new lines, (inode, offset) behind them)."""
    watch = inotify.Inotify()
    stopper = asyncio.ensure_future(ended.wait())
    file = path.open("rb")
    try:
        inode, offset = _marks(path)
        if os.fstat(file.fileno()).st_ino == inode:
            file.seek(offset)
        rest = b""
        while True:
            number, changed = watch.event(path, inotify.MODIFY | inotify.ATTRIB | inotify.MOVE_SELF
                                          | inotify.DELETE_SELF)
            last = stopper.done()
            replaced = path.stat().st_ino != os.fstat(file.fileno()).st_ino
            while data := file.read(_CHUNK):
                rows = (rest + data).split(b"\n")
                rest = rows.pop()
                lines = [_line(row) for row in rows]
                yield ([line for line in lines if line is not None],
                       (os.fstat(file.fileno()).st_ino, file.tell() - len(rest)))
            if replaced:
                file.close()
                file, rest = path.open("rb"), b""
            elif last:
                return
            else:
                waiter = asyncio.ensure_future(changed.wait())
                await asyncio.wait({waiter, stopper}, return_when=asyncio.FIRST_COMPLETED)
                waiter.cancel()
            watch.remove(number)
    except FileNotFoundError:
        return
    finally:
        stopper.cancel()
        file.close()
        watch.close()


def _line(row: bytes) -> Line | None:
    found = parse(row)
    return None if found is None else Line(found[0].decode(), found[1], found[3], not found[2])
