"""Directories on a gRPC stream: the receiving side of ``fsutil.py``."""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
from collections.abc import Callable
from typing import Any

from solva.buildkit import wire_pb2 as wire
from solva.buildkit.fsutil import (
    CHAR,
    DATA,
    DEVICE,
    DIR,
    ERROR,
    FIN,
    LINK,
    PIPE,
    REQUEST,
    SOCKET,
    STAT,
    finish,
    permissions,
)
from solva.errors import InvalidParameter


class Receiver:
    """Writes what the sender lists under ``root``. ``mirror``: what is there and not listed is removed."""

    def __init__(self, root: str, progress: Callable[[int], None], *, mirror: bool = True) -> None:
        self._root = root
        self._mirror = mirror
        self._progress = progress
        self._received = 0
        self._number = -1
        self._wanted: dict[int, tuple[str, Any]] = {}       # number -> path, stat
        self._open: dict[int, int] = {}                     # number -> descriptor, of those under way
        self._links: list[Any] = []
        self._folders: list[Any] = []
        self._seen: set[str] = set()
        self._listed = False

    async def run(self, stream: Any) -> None:
        """Until both sides have finished. InvalidParameter for a sender that leads out of the directory, or lies."""
        try:
            async for packet in stream:
                if packet.type == STAT:
                    await self._entry(stream, packet)
                elif packet.type == DATA:
                    self._data(packet)
                elif packet.type == FIN:
                    break
                elif packet.type == ERROR:
                    raise InvalidParameter("the other side could not send its files: "
                                           + packet.data.decode(errors="replace"))
                if self._listed and not self._wanted:
                    self._listed = False
                    self._finish()
                    await finish(stream)
        finally:
            for descriptor in self._open.values():
                os.close(descriptor)

    async def _entry(self, stream: Any, packet: Any) -> None:
        if not packet.HasField("stat"):
            self._listed = True
            return
        self._number += 1
        entry = packet.stat
        path = self._place(entry.path)
        self._seen.add(path)
        mode = entry.mode
        if mode & DIR:
            if not (os.path.isdir(path) and not os.path.islink(path)):
                _clear(path)
                os.mkdir(path, 0o700)
            self._folders.append((path, entry))
        elif mode & LINK:
            _clear(path)
            os.symlink(entry.linkname, path)
        elif entry.linkname:
            self._links.append((path, entry.linkname))
        elif mode & (DEVICE | PIPE | SOCKET | CHAR):
            if mode & PIPE:
                _clear(path)
                os.mkfifo(path, permissions(mode))
        elif not _same(path, entry):
            _clear(path)
            self._wanted[self._number] = (path, entry)
            await stream.send_message(wire.Packet(type=REQUEST, id=self._number))

    def _place(self, name: str) -> str:
        """The path of a listed name. Its directories were listed before it, so they are directories, not links."""
        clean = posixpath.normpath("/" + name).lstrip("/")
        if not clean or clean != name.strip("/") or "\0" in name:
            raise InvalidParameter(f"the other side sent a path outside of its directory: {name}")
        path = f"{self._root}/{clean}"
        folder = os.path.dirname(path)
        if folder != self._root and folder not in self._seen:
            raise InvalidParameter(f"the other side sent {name} before its directory")
        if os.path.islink(folder):
            raise InvalidParameter(f"the other side sent {name} below a link")
        return path

    def _data(self, packet: Any) -> None:
        found = self._wanted.get(packet.id)
        if found is None:
            raise InvalidParameter("the other side sent a file that was not asked for")
        path, entry = found
        descriptor = self._open.get(packet.id)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = self._open[packet.id] = os.open(path, flags, 0o600)
        if packet.data:
            os.write(descriptor, packet.data)
            self._received += len(packet.data)
            self._progress(self._received)
            return
        os.fchmod(descriptor, permissions(entry.mode))
        os.close(self._open.pop(packet.id))
        del self._wanted[packet.id]
        os.utime(path, ns=(entry.mod_time, entry.mod_time))

    def _finish(self) -> None:
        for path, other in self._links:
            source = self._place(other)
            _clear(path)
            os.link(source, path, follow_symlinks=False)
        if self._mirror:
            _remove_unlisted(self._root, self._seen)
        for path, entry in reversed(self._folders):
            os.chmod(path, permissions(entry.mode))
            os.utime(path, ns=(entry.mod_time, entry.mod_time))


def _same(path: str, entry: Any) -> bool:
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return False
    return (stat.S_ISREG(info.st_mode) and info.st_size == entry.size and info.st_mtime_ns == entry.mod_time
            and stat.S_IMODE(info.st_mode) == permissions(entry.mode) and info.st_nlink == 1)


def _clear(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def _remove_unlisted(folder: str, listed: set[str]) -> None:
    with os.scandir(folder) as entries:
        present = list(entries)
    for entry in present:
        if entry.path not in listed:
            _clear(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            _remove_unlisted(entry.path, listed)
