"""inotify(7) on the event loop: one descriptor, a callback a path."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable

MODIFY = 0x2
CLOSE_WRITE = 0x8
MOVED_TO = 0x80
MOVE_SELF = 0x800
DELETE_SELF = 0x400
ATTRIB = 0x4
CREATE = 0x100

_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Several watches on one descriptor. ``callback(mask, name)`` runs on the loop."""

    def __init__(self) -> None:
        self._fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), f"inotify_init1: {os.strerror(ctypes.get_errno())}")
        self._callbacks: dict[int, Callable[[int, str], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def add(self, path: str | os.PathLike[str], mask: int, callback: Callable[[int, str], None]) -> int:
        """Watch ``path``; returns the watch's number. OSError."""
        number = _libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if number < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"inotify_add_watch {os.fspath(path)}: {os.strerror(code)}")
        self._callbacks[number] = callback
        return int(number)

    def event(self, path: str | os.PathLike[str], mask: int) -> tuple[int, asyncio.Event]:
        """Watch ``path``: the watch's number, and what is set when something happens. OSError."""
        happened = asyncio.Event()

        def note(_mask: int, _name: str) -> None:
            happened.set()

        return self.add(path, mask, note), happened

    def remove(self, number: int) -> None:
        """Fine when it is gone already."""
        if self._callbacks.pop(number, None) is not None:
            _libc.inotify_rm_watch(self._fd, number)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size
            name = data[offset:offset + length].rstrip(b"\0").decode(errors="surrogateescape")
            offset += length
            callback = self._callbacks.get(number)
            if callback is not None:
                callback(mask, name)

    def close(self) -> None:
        """Ends all watches."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
