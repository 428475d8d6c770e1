"""Directories that a client sends over its session: the receiving side of ``buildkit/fsutil.py``."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from grpclib.exceptions import GRPCError, StreamTerminatedError
from multidict import MultiDict

from solva.build import rootpath
from solva.buildkit import wire_pb2 as wire
from solva.buildkit.fsutil import (
    CHAR,
    DATA,
    DEVICE,
    DIFF_COPY,
    DIR,
    ERROR,
    FIN,
    LINK,
    PIPE,
    REQUEST,
    SOCKET,
    STAT,
    permissions,
)
from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import files

if TYPE_CHECKING:
    from solva.build.buildkit.sessions import Session

def _header(metadata: MultiDict[str], key: str, values: Sequence[str]) -> None:
    """Values that are not plain ASCII are escaped, and a second header says so."""
    plain = all(value.isascii() and value.isprintable() for value in values)
    for value in values:
        metadata.add(key, value if plain else quote_plus(value))
    if not plain:
        metadata.add(f"{key}-encoded", "1")


async def receive(session: Session, name: str, target: Path, *, include: Sequence[str] = (),
                  exclude: Sequence[str] = (), follow: Sequence[str] = (),
                  progress: Callable[[int], None] = lambda size: None) -> None:
    """Make the directory ``target`` equal to the client's directory ``name``. What ``target`` has already, by size
    and time, is not sent again. ``progress``: bytes received so far. InvalidParameter for a directory the client does
    not have, or a list that leads out of it."""
    metadata: MultiDict[str] = MultiDict()
    _header(metadata, "dir-name", [name])
    for key, values in (("include-patterns", include), ("exclude-patterns", exclude), ("followpaths", follow)):
        _header(metadata, key, values)
    if DIFF_COPY not in session.methods:
        raise InvalidParameter(f"local {name}: the client's session sends no files")
    receiver = _Receiver(os.fspath(target), progress)
    try:
        async with session.open(DIFF_COPY, wire.Packet, metadata) as stream:
            await stream.send_request()
            await receiver.run(stream)
    except GRPCError as error:
        raise InvalidParameter(f"local {name}: {error.message}") from error
    except StreamTerminatedError as error:
        raise SystemFailure(f"local {name}: the client ended its session") from error
    except OSError as error:
        raise SystemFailure(f"local {name}: {error.strerror or error}: {error.filename or ''}") from error


class _Receiver:
    def __init__(self, root: str, progress: Callable[[int], None]) -> None:
        self._root = root
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
        try:
            async for packet in stream:
                if packet.type == STAT:
                    await self._entry(stream, packet)
                elif packet.type == DATA:
                    self._data(packet)
                elif packet.type == FIN:
                    break
                elif packet.type == ERROR:
                    raise InvalidParameter("the client could not send its files: "
                                           + packet.data.decode(errors="replace"))
                if self._listed and not self._wanted:
                    self._listed = False
                    self._finish()
                    # With the end of our side: Go's server resets a stream that is still open when it has finished.
                    await stream.send_message(wire.Packet(type=FIN), end=True)
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
        clean = rootpath.clean(name)
        if not clean or clean != name.strip("/") or "\0" in name:
            raise InvalidParameter(f"the client sent a path outside of its directory: {name}")
        path = f"{self._root}/{clean}"
        folder = os.path.dirname(path)
        if folder != self._root and folder not in self._seen:
            raise InvalidParameter(f"the client sent {name} before its directory")
        if os.path.islink(folder):
            raise InvalidParameter(f"the client sent {name} below a link")
        return path

    def _data(self, packet: Any) -> None:
        found = self._wanted.get(packet.id)
        if found is None:
            raise InvalidParameter("the client sent a file that was not asked for")
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
        files.remove_tree(path)
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
