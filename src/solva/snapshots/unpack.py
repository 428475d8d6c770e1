"""One layer's tar into one directory, by a process of its own: ``python -m solva.snapshots.unpack DIRECTORY CONTROL``.

A process, so that the engine's loop and memory are left alone and so that it can chroot into the directory: what a
hostile layer names is then inside by construction. The second fence is here too: every directory and symlink of the
layer is known, a parent that would lead outside is refused, and nothing is opened through a symlink.

stdin is the layer file (maybe still growing); the descriptor CONTROL says how much of it is there: lines of decimal
numbers, ``end`` when it is whole. End of file without ``end`` means given up. stdout: lines, ``read N`` at work, then
``done DIFF_ID SIZE COMPRESSION`` or ``error TEXT``.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import time

from solva.kernel import xattr
from solva.snapshots import tarstream
from solva.snapshots.compression import CompressionError, name_of, reader
from solva.snapshots.tarstream import Entry, TarError, TarReader

TYPE_CHECKING = False      # as in compression.py
if TYPE_CHECKING:
    from collections.abc import Callable

WHITEOUT = b".wh."
WHITEOUT_META = b".wh..wh."
OPAQUE = b".wh..wh..opq"
MAX_LINKS = 40
_EXISTS = (errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY)
_DIRECTORY_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerError(Exception):
    """The layer is refused; the text says why and names the entry."""


class Unpacker:
    """Writes entries below the directory ``root`` (a descriptor); ``chrooted``: "/" is that directory too."""

    def __init__(self, root: int, chrooted: bool = False) -> None:
        self._root = root
        self._chrooted = chrooted
        self._is_root = os.geteuid() == 0
        self._directories: dict[bytes, tuple[int, int] | None] = {b"": None}   # path -> (mode, mtime) of its header
        self._links: dict[bytes, bytes] = {}
        self._whiteouts: set[bytes] = set()
        self._parent: tuple[bytes, int] = (b"", os.dup(root))
        self._makers = {
            tarstream.REGULAR: self._file, tarstream.HARDLINK: self._hardlink, tarstream.SYMLINK: self._symlink,
            tarstream.CHAR: self._node, tarstream.BLOCK_DEVICE: self._node, tarstream.FIFO: self._node,
        }
        self._reader: TarReader

    def run(self, archive: TarReader) -> int:
        """All entries; the sum of their sizes, symlinks by their length (what Docker calls the layer's size)."""
        self._reader = archive
        total = 0
        while (entry := archive.next()) is not None:
            total += len(entry.link) if entry.kind == tarstream.SYMLINK else entry.real_size
            self._entry(entry)
        self._finish()
        return total

    # -- where

    def _clean(self, name: bytes) -> bytes:
        """``name`` from the root of the layer: no leading slash, no dots. A leading slash means that root."""
        if name.startswith(b"./"):
            name = name[2:]
        name = name.strip(b"/")
        if b"." not in name and b"//" not in name:
            return name
        if not (name.startswith(b".") or b"/." in name or b"//" in name):
            return name
        parts: list[bytes] = []
        for part in name.split(b"/"):
            if part in (b"", b"."):
                continue
            if part == b"..":
                if not parts:
                    raise LayerError(f"invalid path {os.fsdecode(name)!r}: it leads out of the layer")
                parts.pop()
            else:
                parts.append(part)
        return b"/".join(parts)

    def _real_directory(self, path: bytes) -> bytes:
        """``path`` without symlinks, made where it is missing; refused when a symlink leads outside."""
        if path in self._directories:
            return path
        here: list[bytes] = []
        pending = path.split(b"/")[::-1]
        followed = 0
        while pending:
            part = pending.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                if not here:
                    raise LayerError(f"invalid path {os.fsdecode(path)!r}: a symbolic link leads out of the layer")
                here.pop()
                continue
            here.append(part)
            current = b"/".join(here)
            if current in self._directories:
                continue
            target = self._links.get(current)
            if target is None:
                self._make_directory(current)
                continue
            followed += 1
            if followed > MAX_LINKS:
                raise LayerError(f"invalid path {os.fsdecode(path)!r}: too many levels of symbolic links")
            if target.startswith(b"/"):
                raise LayerError(f"invalid path {os.fsdecode(path)!r}: "
                                 f"symbolic link {os.fsdecode(current)!r} -> {os.fsdecode(target)!r} is absolute")
            here.pop()
            pending.extend(target.split(b"/")[::-1])
        return b"/".join(here)

    def _make_directory(self, path: bytes) -> None:
        try:
            os.mkdir(path, 0o755, dir_fd=self._root)
        except FileExistsError:
            if path not in self._whiteouts:
                raise LayerError(f"invalid path: {os.fsdecode(path)!r} is not a directory") from None
            self._remove(path)
            os.mkdir(path, 0o755, dir_fd=self._root)
            self._opaque(path)
        self._directories[path] = None

    def _enter(self, path: bytes) -> int:
        """A descriptor of the (real) parent directory; the last one is kept, neighbours follow one another."""
        if self._parent[0] != path:
            opened = os.open(path or b".", _DIRECTORY_FLAGS, dir_fd=self._root)
            os.close(self._parent[1])
            self._parent = (path, opened)
        return self._parent[1]

    # -- entries

    def _entry(self, entry: Entry) -> None:
        path = self._clean(entry.name)
        head, _, name = path.rpartition(b"/")
        if head not in self._directories:
            head = self._real_directory(head)
            path = head + b"/" + name if head else name
        if name.startswith(WHITEOUT):
            self._whiteout(head, name, entry)
        elif entry.kind == tarstream.DIRECTORY:
            self._directory(path, name, self._enter(head), entry)
        elif not name:
            raise LayerError(f"invalid path {os.fsdecode(entry.name)!r}: the root of a layer is a directory")
        else:
            maker = self._makers.get(entry.kind)
            if maker is None:
                raise LayerError(f"unhandled tar header type {entry.kind[0]} ({os.fsdecode(entry.name)!r})")
            parent = self._enter(head)
            try:
                maker(parent, name, entry)
            except OSError as error:
                if error.errno not in _EXISTS:
                    raise
                self._remove(path)
                maker(parent, name, entry)
            if entry.kind == tarstream.SYMLINK:
                self._links[path] = entry.link

    def _whiteout(self, head: bytes, name: bytes, entry: Entry) -> None:
        if name == OPAQUE:
            self._opaque(head)
            return
        if name.startswith(WHITEOUT_META):
            return      # AUFS's own bookkeeping
        hidden = name[len(WHITEOUT):]
        if hidden in (b"", b".", b".."):
            raise LayerError(f"invalid whiteout {os.fsdecode(entry.name)!r}")
        path = head + b"/" + hidden if head else hidden
        if path in self._directories:
            self._opaque(path)      # hides the lower one; this layer's own stays
            return
        try:
            os.mknod(hidden, 0o600 | stat.S_IFCHR, os.makedev(0, 0), dir_fd=self._enter(head))
        except FileExistsError:
            return                  # this layer's own file hides the lower one anyway
        self._whiteouts.add(path)

    def _opaque(self, path: bytes) -> None:
        descriptor = os.open(path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                             dir_fd=self._root)
        try:
            xattr.set_opaque(descriptor)
        finally:
            os.close(descriptor)

    def _directory(self, path: bytes, name: bytes, parent: int, entry: Entry) -> None:
        known = path in self._directories
        if not known:
            try:
                os.mkdir(name, 0o755, dir_fd=parent)
            except FileExistsError:
                hidden = path in self._whiteouts
                self._remove(path)
                os.mkdir(name, 0o755, dir_fd=parent)
                if hidden:
                    self._opaque(path)
        self._directories[path] = (entry.mode, entry.mtime_ns)
        if known or entry.uid or entry.gid:
            self._chown(name or b".", parent, entry)
        if entry.xattrs:
            descriptor = os.open(name or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                                 dir_fd=parent)
            try:
                self._attributes(descriptor, entry)
            finally:
                os.close(descriptor)

    def _file(self, parent: int, name: bytes, entry: Entry) -> None:
        descriptor = os.open(name, _FILE_FLAGS, entry.mode & 0o1777, dir_fd=parent)
        try:
            if entry.real_size:
                self._reader.copy_to(descriptor)
            if (entry.uid or entry.gid) and self._is_root:
                os.fchown(descriptor, entry.uid, entry.gid)
            if entry.xattrs:
                self._attributes(descriptor, entry)      # after the owner: chown takes capabilities away
            if entry.mode & 0o6000:
                os.fchmod(descriptor, entry.mode)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def _hardlink(self, parent: int, name: bytes, entry: Entry) -> None:
        target = self._clean(entry.link)
        if target == (self._parent[0] + b"/" + name if self._parent[0] else name):
            return
        head, _, base = target.rpartition(b"/")
        head = self._real_directory(head) if head else head
        source = os.open(head or b".", _DIRECTORY_FLAGS, dir_fd=self._root)
        try:
            os.link(base, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise LayerError(f"invalid hard link {os.fsdecode(entry.name)!r} -> {os.fsdecode(entry.link)!r}: "
                             "no such file in this layer") from None
        finally:
            os.close(source)
        path = head + b"/" + base if head else base
        if path in self._links:     # a hard link to a symlink is one
            self._links[self._parent[0] + b"/" + name if self._parent[0] else name] = self._links[path]

    def _symlink(self, parent: int, name: bytes, entry: Entry) -> None:
        os.symlink(entry.link, name, dir_fd=parent)
        self._finish_special(parent, name, entry)

    def _node(self, parent: int, name: bytes, entry: Entry) -> None:
        if entry.kind == tarstream.FIFO:
            os.mkfifo(name, entry.mode & 0o1777, dir_fd=parent)
        else:
            kind = stat.S_IFCHR if entry.kind == tarstream.CHAR else stat.S_IFBLK
            os.mknod(name, entry.mode & 0o1777 | kind, entry.device, dir_fd=parent)
        self._finish_special(parent, name, entry)

    def _finish_special(self, parent: int, name: bytes, entry: Entry) -> None:
        self._chown(name, parent, entry)
        if entry.xattrs:
            self._by_path(name, entry)
        if entry.mode & 0o6000 and entry.kind != tarstream.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _by_path(self, name: bytes, entry: Entry) -> None:
        """Attributes of what cannot be opened: by its path below the root, whose directories are no symlinks."""
        if self._chrooted:
            base = b"/" + self._parent[0] + b"/"
        else:
            base = b"/proc/self/fd/%d/" % self._parent[1]
        xattr.write_all(base + name, _allowed(entry))

    def _chown(self, name: bytes, parent: int, entry: Entry) -> None:
        if self._is_root:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)

    def _attributes(self, descriptor: int, entry: Entry) -> None:
        xattr.write_all(descriptor, _allowed(entry))

    def _remove(self, path: bytes) -> None:
        """What stands at ``path`` gives way to a later entry of the same name."""
        if path in self._directories:
            inside = path + b"/"
            for known in [known for known in self._directories if known.startswith(inside)]:
                del self._directories[known]
            for known in [known for known in self._links if known.startswith(inside)]:
                del self._links[known]
            del self._directories[path]
            if self._parent[0] == path or self._parent[0].startswith(inside):
                os.close(self._parent[1])
                self._parent = (b"", os.dup(self._root))
            _remove_tree(self._root, path)
            return
        self._links.pop(path, None)
        self._whiteouts.discard(path)
        os.unlink(path, dir_fd=self._root)

    def _finish(self) -> None:
        """Modes and times of directories, last: filling them changes their times, and their modes may forbid it."""
        for path, values in self._directories.items():
            if values is not None:
                name = path or b"."
                os.chmod(name, values[0], dir_fd=self._root)
                os.utime(name, ns=(values[1], values[1]), dir_fd=self._root)
        os.close(self._parent[1])


def _allowed(entry: Entry) -> dict[str, bytes]:
    """A layer says nothing to overlayfs: those attributes would redirect into other layers."""
    return {name: value for name, value in (entry.xattrs or {}).items()
            if not name.startswith(xattr.OVERLAY_PREFIXES)}


def _remove_tree(root: int, path: bytes) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    try:
        for name in os.listdir(descriptor):
            if stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                _remove_tree(descriptor, os.fsencode(name))
            else:
                os.unlink(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(path, dir_fd=root)


class GrowingFile(io.RawIOBase):
    """A file that another process still writes; reads wait until the control pipe says that the bytes are there."""

    def __init__(self, descriptor: int, control: int, tell: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._control = control
        self._tell = tell
        self._available = 0
        self._whole = False
        self._text = b""
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while self.position >= self._available and not self._whole:
            self._wait()
        wanted = len(view) if self._whole else min(len(view), self._available - self.position)
        data = os.pread(self._descriptor, wanted, self.position)
        view[:len(data)] = data
        self.position += len(data)
        self._tell(self.position)
        return len(data)

    def _wait(self) -> None:
        received = os.read(self._control, 4096)
        if not received:
            raise LayerError("given up")
        lines = (self._text + received).split(b"\n")
        self._text = lines.pop()
        for line in lines:
            if line == b"end":
                self._whole = True
            else:
                self._available = int(line)


class _Teller:
    """Progress, ten times a second at most."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, position: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            say(f"read {position}")


def say(line: str) -> None:
    os.write(1, os.fsencode(line.replace("\n", " ")) + b"\n")


def describe(error: Exception) -> str:
    """One line for the user."""
    if isinstance(error, OSError):
        name = error.filename
        where = "" if name is None or isinstance(name, int) else f" {os.fsdecode(name)!r}"
        return f"write{where}: {(error.strerror or str(error)).lower()}"
    return str(error)


def main() -> None:
    os.umask(0)
    root = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    source = GrowingFile(0, int(sys.argv[2]), _Teller())
    try:
        read = reader(source)       # imports the codec before the chroot hides it
        chrooted = os.geteuid() == 0
        if chrooted:
            os.fchdir(root)
            os.chroot(b".")
        archive = TarReader(read)
        size = Unpacker(root, chrooted).run(archive)
        diff_id = archive.drain()
        say(f"done {diff_id} {size} {name_of(os.pread(0, 6, 0))}")
    except (LayerError, TarError, CompressionError, OSError) as error:
        say(f"error {describe(error)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
