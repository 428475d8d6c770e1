"""Archives that come from outside, unpacked under a root: the build context, and ADD's local tars.

Names are cleaned, links in a name's parents are followed inside the root only; device nodes are refused.
"""

import os
import stat

from solva.build import rootpath
from solva.errors import InvalidParameter
from solva.kernel import files, xattr
from solva.snapshots import tarstream
from solva.snapshots.tarstream import Entry, TarError, TarReader


class Untar:
    """Unpack one archive. ``owner``: everything gets it; None keeps the archive's numbers (as root)."""

    def __init__(self, root: str, owner: tuple[int, int] | None) -> None:
        self._root = root
        self._owner = owner
        self._parents: dict[str, str] = {}
        self._directories: list[tuple[str, Entry]] = []

    def extract(self, reader: TarReader) -> int:
        """All entries; how many. InvalidParameter when the archive is damaged or has what it must not."""
        count = 0
        try:
            while (entry := reader.next()) is not None:
                self._entry(reader, entry)
                count += 1
        except TarError as error:
            raise InvalidParameter(f"Error processing tar file: {error}") from error
        for path, entry in reversed(self._directories):
            if os.path.isdir(path) and not os.path.islink(path):
                self._finish(path, entry)
        return count

    def _parent(self, relative: str) -> str:
        parent = os.path.dirname(relative)
        found = self._parents.get(parent)
        if found is None:
            uid, gid = self._owner or (0, 0)
            found = self._parents[parent] = rootpath.make_dirs(self._root, parent, uid, gid)
        return found

    def _entry(self, reader: TarReader, entry: Entry) -> None:
        relative = rootpath.clean(os.fsdecode(entry.name))
        if not relative:
            if entry.kind == tarstream.DIRECTORY and self._owner is None:
                self._directories.append((self._root, entry))
            return
        path = os.path.join(self._parent(relative), os.path.basename(relative))
        try:
            self._clear(path, entry.kind == tarstream.DIRECTORY)
            self._make(reader, entry, path, relative)
        except OSError as error:
            raise InvalidParameter(f"Error processing tar file: {relative}: {error.strerror or error}") from error

    def _clear(self, path: str, directory: bool) -> None:
        """Remove what stands in the way; a directory merges with a directory."""
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(info.st_mode) and directory:
            return
        files.remove_tree(path)
        self._parents.clear()

    def _make(self, reader: TarReader, entry: Entry, path: str, relative: str) -> None:
        kind = entry.kind
        if kind == tarstream.DIRECTORY:
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)
            self._directories.append((path, entry))
            return
        if kind == tarstream.REGULAR:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                reader.copy_to(descriptor)
            finally:
                os.close(descriptor)
        elif kind == tarstream.SYMLINK:
            os.symlink(os.fsdecode(entry.link), path)
            self._parents.clear()
        elif kind == tarstream.HARDLINK:
            first = rootpath.inside(self._root, os.fsdecode(entry.link), last=False)
            os.link(first, path, follow_symlinks=False)
            return
        elif kind == tarstream.FIFO:
            os.mkfifo(path)
        elif kind in (tarstream.CHAR, tarstream.BLOCK_DEVICE):
            raise InvalidParameter(f"Error processing tar file: {relative}: device files are not allowed here")
        else:
            return      # an entry of a kind unknown to tar(5) has nothing to unpack
        self._finish(path, entry)

    def _finish(self, path: str, entry: Entry) -> None:
        uid, gid = self._owner or (entry.uid, entry.gid)
        rootpath.own(path, uid, gid)
        if entry.kind != tarstream.SYMLINK:
            if entry.xattrs:
                xattr.write_all(path, entry.xattrs)
            os.chmod(path, entry.mode)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
