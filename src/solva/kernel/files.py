"""Whole files and trees: durable writes, removal, sizes, copies that keep everything."""

import errno
import os
import secrets
import stat
from pathlib import Path

from solva.kernel import xattr

COPY_CHUNK = 8 << 20
BLOCK = 512


def disk_full(error: BaseException | None) -> bool:
    """Whether a full disk is what caused ``error``, however it was worded since."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def write_durable(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write beside, fsync, rename into place: after a crash there is the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Remove a file or a whole tree; never follows a symlink or crosses into a mount; fine when it is gone."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(info.st_mode):
        os.unlink(path)
        return
    parent = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_at(parent, os.path.basename(os.path.abspath(path)), info.st_dev)
    finally:
        os.close(parent)


def _remove_at(parent: int, name: str, device: int) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if os.fstat(descriptor).st_dev != device:
            raise OSError(errno.EBUSY, "remove: something is mounted there", name)
        with os.scandir(descriptor) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for entry_name, is_directory in listed:
            if is_directory:
                _remove_at(descriptor, entry_name, device)
            else:
                os.unlink(entry_name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=parent)


def tree_size(path: str | os.PathLike[str]) -> int:
    """Bytes of all files and of symlinks' texts, each hard-linked file once, mounts not entered."""
    total = 0
    seen: set[int] = set()
    try:
        device = os.lstat(path).st_dev
    except FileNotFoundError:
        return 0
    pending = [os.fspath(path)]
    while pending:
        try:
            entries = os.scandir(pending.pop())
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:      # the tree lives: a container writes to it
                    continue
                if stat.S_ISDIR(info.st_mode):
                    if info.st_dev == device:
                        pending.append(entry.path)
                elif stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
                    if info.st_nlink > 1:
                        if info.st_ino in seen:
                            continue
                        seen.add(info.st_ino)
                    total += info.st_size
    return total


def copy_metadata(source: str, target: str, info: os.stat_result) -> None:
    """Owner, attributes, mode and times of ``source`` (whose lstat is ``info``) to ``target``, symlinks themselves."""
    os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
    attributes = xattr.read_all(source)
    if attributes:
        xattr.write_all(target, attributes)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)


def copy_tree(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy the content and the own metadata of directory ``source`` into the existing directory ``target``.

    Keeps owners, modes, times, attributes, symlinks, hard links, devices, fifos and holes; symlinks are not followed.
    """
    _copy_directory(os.fspath(source), os.fspath(target), {})


def _copy_directory(source: str, target: str, linked: dict[tuple[int, int], str]) -> None:
    with os.scandir(source) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        info = entry.stat(follow_symlinks=False)
        destination = os.path.join(target, entry.name)
        if stat.S_ISDIR(info.st_mode):
            os.mkdir(destination, 0o700)
            _copy_directory(entry.path, destination, linked)
            continue
        if info.st_nlink > 1:
            first = linked.setdefault((info.st_dev, info.st_ino), destination)
            if first is not destination:
                os.link(first, destination, follow_symlinks=False)
                continue
        _copy_one(entry.path, destination, info)
    copy_metadata(source, target, os.lstat(source))


def _copy_one(source: str, target: str, info: os.stat_result) -> None:
    kind = stat.S_IFMT(info.st_mode)
    if kind == stat.S_IFREG:
        copy_file(source, target)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(source), target)
    elif kind == stat.S_IFIFO:
        os.mkfifo(target, 0o600)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        os.mknod(target, 0o600 | kind, info.st_rdev)
    else:
        return      # a socket belongs to the process that listens on it
    copy_metadata(source, target, info)


def copy_file(source: str, target: str) -> None:
    """Content of a regular file, holes kept, in the kernel where it can (reflink, copy_file_range)."""
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            info = os.fstat(reader)
            if info.st_blocks * BLOCK < info.st_size:
                _copy_sparse(reader, writer, info.st_size)
            else:
                _copy_range(reader, writer, 0, info.st_size)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_sparse(reader: int, writer: int, size: int) -> None:
    os.ftruncate(writer, size)
    position = 0
    while position < size:
        try:
            start = os.lseek(reader, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:      # a hole up to the end
                return
            raise
        position = os.lseek(reader, start, os.SEEK_HOLE)
        _copy_range(reader, writer, start, position - start)


def _copy_range(reader: int, writer: int, offset: int, length: int) -> None:
    end = offset + length
    while offset < end:
        count = min(COPY_CHUNK, end - offset)
        try:
            done = os.copy_file_range(reader, writer, count, offset, offset)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            done = os.pwrite(writer, os.pread(reader, count, offset), offset)
        if done == 0:
            return      # the file has become shorter
        offset += done
