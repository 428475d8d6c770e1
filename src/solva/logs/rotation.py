"""Keeping several files of a log: when the one that conmon writes is full it becomes ``.1``, and conmon begins anew.

conmon itself can only begin its one file anew (``--log-size-max``), which is all that a log of one file needs. For
several, the engine moves them: it is told by inotify that the file has grown, looks at most every ``PAUSE`` seconds,
links the full file to ``.1`` and has conmon reopen, so that there is no moment without a file and no line is lost. A
file may therefore be larger than asked by what is written in that time. While no engine runs nothing is moved, and
conmon's own limit (``backstop``) keeps the disk from filling.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import shutil
from pathlib import Path

from solva.kernel import inotify
from solva.logs.options import Files

PAUSE = 0.05
_REOPEN = b"2 0 0\n"        # to conmon's control fifo
_BACKSTOP = 64 << 20
_log = logging.getLogger(__name__)


def backstop(files: Files) -> int:
    """conmon's own limit in bytes, 0 for none."""
    if not files.size:
        return 0
    return files.size if files.count == 1 else max(_BACKSTOP, 4 * files.size * files.count)


def pieces(path: Path) -> list[Path]:
    """The files of a log, oldest first; the one that is written to is the last."""
    found = []
    number = 1
    while True:
        plain = Path(f"{path}.{number}")
        packed = Path(f"{path}.{number}.gz")
        if plain.exists():
            found.append(plain)
        elif packed.exists():
            found.append(packed)
        else:
            break
        number += 1
    return [*reversed(found), path]


async def keep(path: Path, control: Path, files: Files, ended: asyncio.Event) -> None:
    """Rotate until the container has ended. ``control``: conmon's fifo."""
    watch = inotify.Inotify()
    stopper = asyncio.ensure_future(ended.wait())
    try:
        while not ended.is_set():
            number, changed = watch.event(path, inotify.MODIFY | inotify.ATTRIB | inotify.MOVE_SELF
                                          | inotify.DELETE_SELF)
            if path.stat().st_size < files.size:
                waiter = asyncio.ensure_future(changed.wait())
                await asyncio.wait({waiter, stopper}, return_when=asyncio.FIRST_COMPLETED)
                waiter.cancel()
            await asyncio.wait({stopper}, timeout=PAUSE)      # many writes, one wake-up
            watch.remove(number)
            if path.stat().st_size >= files.size and not ended.is_set():
                await _rotate(path, control, files, watch)
    except OSError as error:
        _log.error("log %s is not rotated any more: %s", path, error)
    finally:
        stopper.cancel()
        watch.close()


async def _rotate(path: Path, control: Path, files: Files, watch: inotify.Inotify) -> None:
    await asyncio.to_thread(_shift, path, files)
    os.link(path, f"{path}.1")
    inode = path.stat().st_ino
    number, reopened = watch.event(path.parent, inotify.MOVED_TO | inotify.CREATE)
    try:
        fd = os.open(control, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, _REOPEN)
        finally:
            os.close(fd)
        async with asyncio.timeout(10):
            while path.stat().st_ino == inode:
                await reopened.wait()
                reopened.clear()
    except (OSError, TimeoutError) as error:      # conmon ends at this moment: the file stays the current one
        _log.warning("log %s is not turned over now: %s", path, error or "conmon does not answer")
        os.unlink(f"{path}.1")
    finally:
        watch.remove(number)


def _shift(path: Path, files: Files) -> None:
    """Make room for a new ``.1``: the others get older, the oldest goes. From ``.2`` on they are compressed."""
    for number in range(files.count, 0, -1):
        for suffix in (".gz", ""):
            old = Path(f"{path}.{number}{suffix}")
            if not old.exists():
                continue
            if number >= files.count - 1:
                old.unlink()
            elif files.compress and not suffix:
                packed = Path(f"{path}.{number + 1}.gz")
                with old.open("rb") as source, gzip.open(f"{packed}.tmp", "wb", compresslevel=5) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                os.rename(f"{packed}.tmp", packed)
                old.unlink()
            else:
                old.rename(f"{path}.{number + 1}{suffix}")
