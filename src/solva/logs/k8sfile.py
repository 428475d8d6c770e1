"""conmon's log file (``<time> <stream> <F|P> <text>``, P: the line goes on) as Docker's frames; followed by inotify."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from solva.api.framing import STDERR, STDOUT, frame
from solva.api.types.container import LogsOptions
from solva.clock import parse_rfc3339, rfc3339
from solva.kernel import inotify

_CHUNK = 256 << 10


def parse(line: bytes) -> tuple[bytes, int, bool, bytes] | None:
    """(time, stream, whether the line goes on, text) of one raw line without its newline; None for a broken one."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return parts[0], STDERR if parts[1] == b"stderr" else STDOUT, parts[2].startswith(b"P"), parts[3]


class _Renderer:
    def __init__(self, options: LogsOptions, tty: bool, details: str) -> None:
        self._options = options
        self._tty = tty
        self._details = details.encode()
        self._open: set[int] = set()     # streams whose last line goes on
        self.past_until = False

    def render(self, line: bytes) -> bytes:
        """The wire form of one raw line, empty when it is not wanted."""
        parsed = parse(line)
        if parsed is None:
            return b""
        moment, stream, partial, text = parsed
        options = self._options
        if options.since or options.until:
            when = parse_rfc3339(moment.decode())
            if when < options.since:
                return b""
            if options.until and when > options.until:
                self.past_until = True
                return b""
        continued = stream in self._open
        if partial:
            self._open.add(stream)
        else:
            self._open.discard(stream)
            text += b"\n"
        if not (options.stdout if stream == STDOUT else options.stderr):
            return b""
        if not continued:
            if options.details:
                text = self._details + b" " + text
            if options.timestamps:
                text = rfc3339(parse_rfc3339(moment.decode())).encode() + b" " + text
        return text if self._tty else frame(stream, text)


def _tail_offset(path: Path, lines: int, options: LogsOptions) -> int:
    """Where the last ``lines`` whole entries of the wanted streams begin, reading backwards."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        if lines == 0:
            return position
        rest = b""
        found = 0
        starts: deque[int] = deque()
        while position > 0:
            size = min(_CHUNK, position)
            position -= size
            file.seek(position)
            block = file.read(size) + rest
            pieces = block.split(b"\n")
            rest = pieces[0] if position > 0 else b""
            offset = position + len(block)
            for piece in reversed(pieces[1:] if position > 0 else pieces):
                offset -= len(piece)
                if piece:
                    parsed = parse(piece)
                    wanted = parsed is not None and (options.stdout if parsed[1] == STDOUT else options.stderr)
                    if parsed is not None and wanted and not parsed[2]:
                        found += 1
                        if found > lines:
                            return starts[0] if starts else offset
                    starts.appendleft(offset)
                offset -= 1
        return 0


async def read(path: Path, options: LogsOptions, *, tty: bool, details: str = "",
               ended: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Pieces of the log as asked. ``ended`` is set when the container has ended: following stops after the rest."""
    renderer = _Renderer(options, tty, details)
    changed = asyncio.Event()
    watch: inotify.Inotify | None = None
    if not path.exists():
        if not options.follow or ended is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o640)
    offset = await asyncio.to_thread(_tail_offset, path, options.tail, options) if options.tail >= 0 else 0
    file = path.open("rb")
    try:
        file.seek(offset)
        if options.follow:
            watch = inotify.Inotify()
            watch.add(path, inotify.MODIFY | inotify.MOVE_SELF | inotify.DELETE_SELF | inotify.ATTRIB,
                      lambda _mask, _name: changed.set())
        rest = b""
        stopper = asyncio.ensure_future(ended.wait()) if ended is not None and options.follow else None
        if stopper is not None:
            stopper.add_done_callback(lambda _: changed.set())
        try:
            while True:
                changed.clear()
                last = stopper is None or stopper.done()
                while data := file.read(_CHUNK):
                    lines = (rest + data).split(b"\n")
                    rest = lines.pop()
                    out = b"".join([renderer.render(line) for line in lines])
                    if out:
                        yield out
                    if renderer.past_until:
                        return
                replaced = _replaced(file.fileno(), path)
                if replaced:
                    file.close()
                    file = path.open("rb")
                    if watch is not None:
                        watch.add(path, inotify.MODIFY | inotify.MOVE_SELF | inotify.DELETE_SELF | inotify.ATTRIB,
                                  lambda _mask, _name: changed.set())
                    continue
                if not options.follow or last:
                    return
                await changed.wait()
        finally:
            if stopper is not None:
                stopper.cancel()
    finally:
        file.close()
        if watch is not None:
            watch.close()


def _replaced(fd: int, path: Path) -> bool:
    """Whether conmon has begun a new file under the name (size limit reached)."""
    try:
        return os.fstat(fd).st_ino != path.stat().st_ino
    except FileNotFoundError:
        return False
