"""conmon's log file (``<time> <stream> <F|P> <text>``, P: the line goes on) as Docker's frames; followed by inotify."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from solva.api.framing import STDERR, STDOUT, frame
from solva.api.types.container import LogsOptions
from solva.clock import parse_rfc3339, rfc3339
from solva.kernel import inotify
from solva.logs import rotation

_CHUNK = 256 << 10
LONGEST = 16 << 10
_CHANGES = inotify.MODIFY | inotify.MOVE_SELF | inotify.DELETE_SELF | inotify.ATTRIB


def parse(line: bytes) -> tuple[bytes, int, bool, bytes] | None:
    """(time, stream, whether the line goes on, text) of one raw line without its newline; None for a broken one."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return parts[0], STDERR if parts[1] == b"stderr" else STDOUT, parts[2].startswith(b"P"), parts[3]


class _Renderer:
    """Raw lines as they go on the wire. What conmon has cut at the end of its buffer is one message again, up to
    ``LONGEST`` bytes, as Docker has it."""

    def __init__(self, options: LogsOptions, tty: bool, details: str) -> None:
        self._options = options
        self._tty = tty
        self._details = details.encode()
        self._plain = not (options.since or options.until or options.details or options.timestamps)
        self._wanted = {name: kind for name, kind, asked in ((b"stdout", STDOUT, options.stdout),
                                                             (b"stderr", STDERR, options.stderr)) if asked}
        self._held: dict[int, list[bytes]] = {}     # by stream: its line that goes on
        self._begun: dict[int, bytes] = {}          # and what stands before it
        self._going_on: set[int] = set()            # streams whose line has been told in part
        self.past_until = False

    def render(self, lines: list[bytes]) -> bytes:
        """The wire form of raw lines, empty when none is wanted."""
        if not self._plain or self._tty:
            return b"".join([self._line(line) for line in lines])
        out: list[bytes] = []
        add, wanted, held = out.append, self._wanted, self._held
        for line in lines:
            parts = line.split(b" ", 3)
            if len(parts) == 4 and parts[2] == b"F" and not held and not self._going_on:
                kind = wanted.get(parts[1])
                if kind is not None:
                    text = parts[3]
                    add(b"%c\0\0\0%b%b\n" % (kind, (len(text) + 1).to_bytes(4, "big"), text))
            else:
                add(self._line(line))
        return b"".join(out)

    def _line(self, line: bytes) -> bytes:
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
        if not (options.stdout if stream == STDOUT else options.stderr):
            return b""
        pieces = self._held.setdefault(stream, [])
        if not pieces and stream not in self._going_on:
            before = self._details + b" " if options.details else b""
            if options.timestamps:
                before = rfc3339(parse_rfc3339(moment.decode())).encode() + b" " + before
            self._begun[stream] = before
        pieces.append(text)
        if partial:
            return self._tell(stream, b"") if sum(map(len, pieces)) >= LONGEST else b""
        message = self._tell(stream, b"\n")
        self._going_on.discard(stream)
        return message

    def _tell(self, stream: int, end: bytes) -> bytes:
        text = self._begun.pop(stream, b"") + b"".join(self._held.pop(stream, ())) + end
        self._going_on.add(stream)
        return text if self._tty else frame(stream, text)

    def rest(self) -> bytes:
        """A last line that has no end."""
        return b"".join([self._tell(stream, b"") for stream in list(self._held)])


def _tail_offset(file: BinaryIO, lines: int, options: LogsOptions) -> tuple[int, int]:
    """(where the last ``lines`` whole entries of the wanted streams begin, how many there are), read backwards."""
    position = file.seek(0, os.SEEK_END)
    if lines == 0:
        return position, 0
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
                        return starts[0] if starts else offset, lines
                starts.appendleft(offset)
            offset -= 1
    return 0, found


def _open(path: Path) -> BinaryIO:
    """A file of the log as it was written."""
    if path.suffix == ".gz":
        whole = tempfile.SpooledTemporaryFile(64 << 20)      # noqa: SIM115  (the reader closes it)
        with gzip.open(path, "rb") as packed:
            shutil.copyfileobj(packed, whole, 1 << 20)
        whole.seek(0)
        return cast("BinaryIO", whole)
    return path.open("rb")


def _files(path: Path, options: LogsOptions) -> list[BinaryIO]:
    """What is to be read, opened and placed, oldest first; the file that is written to is the last."""
    names = rotation.pieces(path)
    opened: list[BinaryIO] = []
    left = options.tail
    for name in reversed(names):
        try:
            file = _open(name)
        except FileNotFoundError:      # moved on meanwhile
            continue
        opened.insert(0, file)
        if options.tail >= 0:
            offset, found = _tail_offset(file, left, options)
            file.seek(offset)
            left -= found
            if left <= 0:
                break
    return opened


async def read(path: Path, options: LogsOptions, *, tty: bool, details: str = "",
               ended: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Pieces of the log as asked, over all its files. ``ended`` is set when the container has ended: following stops
    after the rest."""
    if not path.exists():
        if not options.follow or ended is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o640)
    renderer = _Renderer(options, tty, details)
    watch = inotify.Inotify() if options.follow else None
    stopper = asyncio.ensure_future(ended.wait()) if ended is not None and options.follow else None
    files = await asyncio.to_thread(_files, path, options)
    try:
        while files:
            file = files[0]
            rest = b""
            while True:
                number, changed = -1, asyncio.Event()
                if len(files) == 1 and watch is not None and path.exists():
                    number, changed = watch.event(path, _CHANGES)
                last = stopper is None or stopper.done()
                later = _later(file, path) if len(files) == 1 else []
                while data := file.read(_CHUNK):
                    lines = (rest + data).split(b"\n")
                    rest = lines.pop()
                    out = renderer.render(lines)
                    if out:
                        yield out
                    if renderer.past_until:
                        return
                if len(files) > 1 or later:
                    files += [_open(name) for name in later if name.exists()]
                    break
                if not options.follow or last:
                    if held := renderer.rest():
                        yield held
                    return
                await _either(changed, stopper)
                if watch is not None and number >= 0:
                    watch.remove(number)
            files.pop(0).close()
    finally:
        if stopper is not None:
            stopper.cancel()
        for each in files:
            each.close()
        if watch is not None:
            watch.close()


async def _either(changed: asyncio.Event, stopper: asyncio.Future[Any] | None) -> None:
    waiter = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait({waiter, *([stopper] if stopper is not None else [])},
                           return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()


def _later(file: BinaryIO, path: Path) -> list[Path]:
    """The files that have been begun since ``file`` was the one written to; empty while it still is."""
    try:
        inode = os.fstat(file.fileno()).st_ino
        if inode == path.stat().st_ino:
            return []
        names = rotation.pieces(path)
        inodes = [name.stat().st_ino for name in names]
    except (OSError, ValueError):
        return []
    return names[inodes.index(inode) + 1:] if inode in inodes else [path]
