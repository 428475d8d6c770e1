"""Directories on a gRPC stream (fsutil's protocol): the sender lists what there is, the receiver asks for the files it
lacks by their number in that list, both say they have finished. Here: the list's entries, and the sending side.

Modes are Go's ``os.FileMode``. https://github.com/tonistiigi/fsutil (types/wire.proto, types/stat.proto)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from typing import Any

from solva.buildkit import wire_pb2 as wire
from solva.errors import InvalidParameter

STAT, REQUEST, DATA, FIN, ERROR = range(5)
DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
FILE_SEND = "/moby.filesync.v1.FileSend/DiffCopy"
CHUNK = 1 << 15
DIR, LINK, DEVICE, PIPE, SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
SETUID, SETGID, CHAR, STICKY = 1 << 23, 1 << 22, 1 << 21, 1 << 20
_BITS = ((SETUID, stat.S_ISUID), (SETGID, stat.S_ISGID), (STICKY, stat.S_ISVTX))


def permissions(mode: int) -> int:
    """The permission bits of a Go mode as chmod takes them."""
    return mode & 0o777 | sum(unix for go, unix in _BITS if mode & go)


def go_mode(mode: int) -> int:
    """A stat mode as Go's ``os.FileMode``."""
    found = mode & 0o777 | sum(go for go, unix in _BITS if mode & unix)
    for test, bits in ((stat.S_ISDIR, DIR), (stat.S_ISLNK, LINK), (stat.S_ISFIFO, PIPE), (stat.S_ISSOCK, SOCKET),
                       (stat.S_ISBLK, DEVICE), (stat.S_ISCHR, DEVICE | CHAR)):
        if test(mode):
            found |= bits
    return found


def packed(path: str, name: str) -> Any:
    """The file at ``path`` as the protocol's Stat, called ``name``."""
    info = os.lstat(path)
    found = wire.Stat(path=name, mode=go_mode(info.st_mode), uid=info.st_uid, gid=info.st_gid,
                      size=info.st_size if stat.S_ISREG(info.st_mode) else 0, mod_time=info.st_mtime_ns)
    if stat.S_ISLNK(info.st_mode):
        found.linkname = os.readlink(path)
    return found


class Links:
    """Files that are one: of several names of one inode the later ones are links to the first."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], str] = {}

    def packed(self, path: str, name: str) -> Any:
        """``packed``, with ``linkname`` set for a further name of a file that was listed already."""
        found = packed(path, name)
        info = os.lstat(path)
        if info.st_nlink > 1 and stat.S_ISREG(info.st_mode):
            first = self._first.setdefault((info.st_dev, info.st_ino), name)
            if first != name:
                found.linkname = first
        return found


async def finish(stream: Any) -> None:
    """Our side's last word. The caller of a stream ends it with that word: Go's server resets one that is still open
    when its handler returns."""
    if hasattr(stream, "send_request"):
        await stream.send_message(wire.Packet(type=FIN), end=True)
    else:
        await stream.send_message(wire.Packet(type=FIN))


async def send(stream: Any, entries: Iterable[tuple[str, Any]], progress: Callable[[int], None]) -> None:
    """The sending side on an open stream: ``entries`` are paths on this machine with their Stat, in the order of a
    walk. ``progress``: bytes sent so far. InvalidParameter with what the other side says if it cannot take them."""
    listed = list(entries)
    for _, entry in listed:
        await stream.send_message(wire.Packet(type=STAT, stat=entry))
    await stream.send_message(wire.Packet(type=STAT))
    sent = 0
    async for packet in stream:
        if packet.type == FIN:
            await finish(stream)
            return
        if packet.type != REQUEST or packet.id >= len(listed):
            raise InvalidParameter("the files were not taken: " + packet.data.decode(errors="replace"))
        with open(listed[packet.id][0], "rb") as file:
            while block := file.read(CHUNK):
                await stream.send_message(wire.Packet(type=DATA, id=packet.id, data=block))
                sent += len(block)
        await stream.send_message(wire.Packet(type=DATA, id=packet.id))
        progress(sent)
