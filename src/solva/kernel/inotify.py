"""inotify(7) on the event loop: one descriptor for all of a loop's watchers (the kernel gives a user 128), a callback a
path and watcher."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import struct
from collections.abc import Callable
from weakref import WeakKeyDictionary

MODIFY = 0x2
CLOSE_WRITE = 0x8
MOVED_TO = 0x80
MOVE_SELF = 0x800
DELETE_SELF = 0x400
ATTRIB = 0x4
CREATE = 0x100
_IGNORED = 0x8000
_OVERFLOW = 0x4000
_MASK_ADD = 0x20000000

_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)
Callback = Callable[[int, str], None]


class _Descriptor:
    """The kernel's side: what is watched, and for whom. A path that several watch is one watch of the kernel's."""

    def __init__(self) -> None:
        self._fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), f"inotify_init1: {os.strerror(ctypes.get_errno())}")
        self._watches: dict[int, dict[int, tuple[int, Callback]]] = {}      # kernel's number -> ours -> mask, callback
        self._places: dict[int, int] = {}                                   # our number -> kernel's
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)
        self.users = 0

    def add(self, path: str | os.PathLike[str], mask: int, callback: Callback) -> int:
        place = _libc.inotify_add_watch(self._fd, os.fsencode(path), mask | _MASK_ADD)
        if place < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"inotify_add_watch {os.fspath(path)}: {os.strerror(code)}")
        number = next(self._numbers)
        self._watches.setdefault(place, {})[number] = (mask, callback)
        self._places[number] = place
        return number

    def remove(self, number: int) -> None:
        place = self._places.pop(number, None)
        if place is None:
            return
        callbacks = self._watches.get(place, {})
        callbacks.pop(number, None)
        if not callbacks and self._watches.pop(place, None) is not None:
            _libc.inotify_rm_watch(self._fd, place)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            place, mask, _, length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size
            name = data[offset:offset + length].rstrip(b"\0").decode(errors="surrogateescape")
            offset += length
            self._deliver(place, mask, name)

    def _deliver(self, place: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:      # events are lost: everybody looks for himself
            for callbacks in list(self._watches.values()):
                for wanted, callback in list(callbacks.values()):
                    callback(wanted, "")
            return
        for wanted, callback in list(self._watches.get(place, {}).values()):
            if mask & wanted:
                callback(mask, name)
        if mask & _IGNORED:      # the file has gone, and the kernel's watch with it
            for number in self._watches.pop(place, {}):
                self._places.pop(number, None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


_descriptors: WeakKeyDictionary[asyncio.AbstractEventLoop, _Descriptor] = WeakKeyDictionary()


class Inotify:
    """One watcher: several paths. ``callback(mask, name)`` runs on the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        found = _descriptors.get(self._loop)
        if found is None:
            found = _descriptors[self._loop] = _Descriptor()
        found.users += 1
        self._descriptor: _Descriptor | None = found
        self._mine: set[int] = set()

    def add(self, path: str | os.PathLike[str], mask: int, callback: Callback) -> int:
        """Watch ``path``; returns the watch's number. OSError."""
        assert self._descriptor is not None
        number = self._descriptor.add(path, mask, callback)
        self._mine.add(number)
        return number

    def event(self, path: str | os.PathLike[str], mask: int) -> tuple[int, asyncio.Event]:
        """Watch ``path``: the watch's number, and what is set when something happens. OSError."""
        happened = asyncio.Event()

        def note(_mask: int, _name: str) -> None:
            happened.set()

        return self.add(path, mask, note), happened

    def remove(self, number: int) -> None:
        """Fine when it is gone already."""
        self._mine.discard(number)
        if self._descriptor is not None:
            self._descriptor.remove(number)

    def close(self) -> None:
        """Ends all its watches."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        for number in self._mine:
            descriptor.remove(number)
        self._mine.clear()
        descriptor.users -= 1
        if descriptor.users == 0:
            _descriptors.pop(self._loop, None)
            if not self._loop.is_closed():
                descriptor.close()
