"""Opening paths inside a directory tree that somebody else may change under our hands: openat2(2), RESOLVE_IN_ROOT.

Symbolic links, however made, stay inside the root; the kernel does the walk, so nothing can be swapped in between.
"""

from __future__ import annotations

import ctypes
import os
import struct

_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_MAGICLINKS = 0x02
_HOW = struct.Struct("QQQ")
_libc = ctypes.CDLL(None, use_errno=True)


def open_in(root: str | os.PathLike[str] | int, path: str, flags: int, mode: int = 0) -> int:
    """A descriptor of ``path`` as seen from ``root`` (a directory or its descriptor). OSError."""
    if isinstance(root, int):
        return _open(root, path, flags, mode)
    base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _open(base, path, flags, mode)
    finally:
        os.close(base)


def _open(base: int, path: str, flags: int, mode: int) -> int:
    how = _HOW.pack(flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    for _ in range(8):
        fd = _libc.syscall(_OPENAT2, base, os.fsencode(path or "/"), how, ctypes.c_size_t(_HOW.size))
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        if code != 11:  # EAGAIN: the tree moved during the walk
            break
    raise OSError(code, os.strerror(code), path)


def read_text(root: str | os.PathLike[str] | int, path: str, limit: int = 4 << 20) -> str:
    """The text of a regular file, at most ``limit`` bytes of it. OSError."""
    fd = open_in(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return os.read(fd, limit).decode(errors="surrogateescape")
    finally:
        os.close(fd)


def host_path(root: str | os.PathLike[str], path: str) -> str:
    """The host path that ``path`` leads to at this moment; OSError when it is missing. For display and for use where
    nothing runs in the root."""
    fd = open_in(root, path, os.O_PATH)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def make_dirs(root: str | os.PathLike[str] | int, path: str, mode: int = 0o755) -> None:
    """Make a directory and its missing parents inside ``root``; links on the way are followed inside it. OSError."""
    current = ""
    for part in [part for part in path.split("/") if part not in ("", ".")]:
        parent = open_in(root, current or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            os.mkdir(part, mode, dir_fd=parent)
        except FileExistsError:
            pass
        finally:
            os.close(parent)
        current = f"{current}/{part}"
