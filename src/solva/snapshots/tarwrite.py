"""Writing a layer's tar: the same directory gives the same bytes.

Names sorted, times in whole seconds, no access times, PAX headers only where ustar cannot say it. overlayfs's whiteouts
become ``.wh.`` files, opaque directories get ``.wh..wh..opq``.
"""

import os
import stat
from collections.abc import Callable

from solva.kernel import xattr
from solva.snapshots.changes import is_whiteout

_BLOCK = 512
_CHUNK = 1 << 20
_OCTAL_SIZE = 0o77777777777
_OCTAL_ID = 0o7777777
Write = Callable[[bytes], object]


def header(
    name: bytes, kind: bytes, info: os.stat_result, *, size: int = 0, link: bytes = b"",
    attributes: dict[str, bytes] | None = None, mode: int | None = None,
) -> bytes:
    """One entry's header blocks; ``name`` of a directory ends with a slash. ``mode`` replaces the file's."""
    pax: dict[bytes, bytes] = {}
    prefix, base = _split(name)
    if prefix is None:
        pax[b"path"] = name
        prefix, base = b"", name[:100]
    if len(link) > 100:
        pax[b"linkpath"] = link
    seconds = info.st_mtime_ns // 1_000_000_000
    if not 0 <= seconds <= _OCTAL_SIZE:
        pax[b"mtime"] = b"%d" % seconds
    if size > _OCTAL_SIZE:
        pax[b"size"] = b"%d" % size
    if info.st_uid > _OCTAL_ID:
        pax[b"uid"] = b"%d" % info.st_uid
    if info.st_gid > _OCTAL_ID:
        pax[b"gid"] = b"%d" % info.st_gid
    for key, value in (attributes or {}).items():
        pax[b"SCHILY.xattr." + os.fsencode(key)] = value
    numbers = (
        stat.S_IMODE(info.st_mode) if mode is None else mode,
        0 if b"uid" in pax else info.st_uid, 0 if b"gid" in pax else info.st_gid,
        0 if b"size" in pax else size, 0 if b"mtime" in pax else seconds,
    )
    device = info.st_rdev if kind in (b"3", b"4") else 0
    block = _block(base, prefix, kind, numbers, link[:100], device)
    if not pax:
        return block
    body = b"".join(_record(key, pax[key]) for key in sorted(pax))
    front = _block(b"PaxHeaders.0/" + base.rstrip(b"/")[-80:], b"", b"x", (0o644, 0, 0, len(body), 0), b"", 0)
    return front + body + bytes(-len(body) % _BLOCK) + block


def _split(name: bytes) -> tuple[bytes | None, bytes]:
    """(prefix, name) as ustar stores long paths; prefix None when it cannot."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(len(name) - 1, 156))
    if cut <= 0 or len(name) - cut - 1 > 100:
        return None, name
    return name[:cut], name[cut + 1:]


def _block(
    name: bytes, prefix: bytes, kind: bytes, numbers: tuple[int, int, int, int, int], link: bytes, device: int
) -> bytes:
    mode, uid, gid, size, seconds = numbers
    text = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0        %s%s" % (
        name.ljust(100, b"\0"), mode, uid, gid, size, seconds, kind, link.ljust(100, b"\0"))
    text += b"ustar\x0000" + bytes(64) + b"%07o\0%07o\0" % (os.major(device), os.minor(device))
    text = (text + prefix).ljust(_BLOCK, b"\0")
    return text[:148] + b"%06o\0 " % sum(text) + text[156:]


def _record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    if len(str(total)) != len(str(length)):
        total += 1
    return b"%d %s=%s\n" % (total, key, value)


class LayerWriter:
    """Writes one tree; ``size`` afterwards is the sum of its files' sizes."""

    def __init__(self, write: Write, *, whiteouts: bool = True) -> None:
        self._write = write
        self._whiteouts = whiteouts
        self._linked: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def tree(self, root: str) -> None:
        """Everything below ``root`` (not itself), then the end of the archive."""
        self._directory(os.fsencode(root), b"")
        self._write(bytes(2 * _BLOCK))

    def _directory(self, path: bytes, name: bytes) -> None:
        with os.scandir(path) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            self.entry(entry.path, name + entry.name, entry.stat(follow_symlinks=False))

    def entry(self, path: bytes, name: bytes, info: os.stat_result) -> None:
        """One file, or a directory with all below it."""
        kind = stat.S_IFMT(info.st_mode)
        if self._whiteouts and is_whiteout(info):
            head, slash, base = name.rpartition(b"/")
            self._write(header(head + slash + b".wh." + base, b"0", info, mode=0))
            return
        if kind == stat.S_IFDIR:
            self._write(header(name + b"/", b"5", info, attributes=xattr.read_all(path)))
            if self._whiteouts and xattr.is_opaque(path):
                self._write(header(name + b"/.wh..wh..opq", b"0", info, mode=0))
            self._directory(path, name + b"/")
            return
        if kind == stat.S_IFSOCK:
            return      # tar has no sockets
        if info.st_nlink > 1:
            first = self._linked.setdefault((info.st_dev, info.st_ino), name)
            if first is not name:
                self._write(header(name, b"1", info, link=first))
                return
        attributes = xattr.read_all(path)
        if kind == stat.S_IFREG:
            self._file(path, name, info, attributes)
        elif kind == stat.S_IFLNK:
            self.size += info.st_size
            self._write(header(name, b"2", info, link=os.readlink(path), attributes=attributes))
        else:
            letter = {stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFIFO: b"6"}[kind]
            self._write(header(name, letter, info, attributes=attributes))

    def _file(self, path: bytes, name: bytes, info: os.stat_result, attributes: dict[str, bytes]) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            left = info.st_size
            self.size += left
            front = header(name, b"0", info, size=left, attributes=attributes)
            if left <= 65536:      # header, content and padding in one piece
                data = os.read(descriptor, left) if left else b""
                self._write(front + data.ljust(left + -left % _BLOCK, b"\0"))
                return
            self._write(front)
            while left:
                data = os.read(descriptor, min(_CHUNK, left))
                if not data:      # it has become shorter under our hands: the header's promise is kept
                    data = bytes(min(_CHUNK, left))
                self._write(data)
                left -= len(data)
            self._write(bytes(-info.st_size % _BLOCK))
        finally:
            os.close(descriptor)

