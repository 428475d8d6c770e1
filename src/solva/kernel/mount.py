"""mount(2), umount2(2) and what hangs on them, by libc; errors are OSError with the operation and the object.

Everything here blocks for up to a few milliseconds and works on the caller's mount namespace.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24

MNT_FORCE = 1
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

_CLONE_FS = 0x200
_PROPAGATION = {
    "private": MS_PRIVATE, "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE, "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED, "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE, "runbindable": MS_UNBINDABLE | MS_REC,
}
_OPTIONS: dict[str, tuple[int, int]] = {     # option -> (bits to set, bits to clear)
    "defaults": (0, 0), "ro": (MS_RDONLY, 0), "rw": (0, MS_RDONLY),
    "nosuid": (MS_NOSUID, 0), "suid": (0, MS_NOSUID), "nodev": (MS_NODEV, 0), "dev": (0, MS_NODEV),
    "noexec": (MS_NOEXEC, 0), "exec": (0, MS_NOEXEC), "noatime": (MS_NOATIME, 0), "atime": (0, MS_NOATIME),
    "relatime": (MS_RELATIME, 0), "norelatime": (0, MS_RELATIME), "strictatime": (MS_STRICTATIME, 0),
    "bind": (MS_BIND, 0), "rbind": (MS_BIND | MS_REC, 0), "remount": (MS_REMOUNT, 0), "silent": (MS_SILENT, 0),
}
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One line of /proc/self/mountinfo."""

    mount_point: str
    root: str
    fstype: str
    source: str
    options: str
    super_options: str


def _encoded(value: str | bytes | os.PathLike[str] | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def mount(
    source: str | bytes | os.PathLike[str],
    target: str | bytes | os.PathLike[str],
    fstype: str | None = None,
    flags: int = 0,
    data: str | bytes | None = None,
) -> None:
    """mount(2). OSError names target and cause."""
    kind = None if fstype is None else fstype.encode()
    if _libc.mount(_encoded(source), _encoded(target), kind, ctypes.c_ulong(flags), _encoded(data)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {fstype or 'bind'}: {os.strerror(code)}", os.fsdecode(target))


def umount(target: str | bytes | os.PathLike[str], flags: int = 0) -> bool:
    """umount2(2); False when nothing was mounted there (or the path is gone)."""
    if _libc.umount2(_encoded(target), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in (22, 2):      # EINVAL: no mount point; ENOENT
        return False
    raise OSError(code, f"unmount: {os.strerror(code)}", os.fsdecode(target))


def bind(source: str | os.PathLike[str], target: str | os.PathLike[str], *, recursive: bool = False) -> None:
    """A bind mount; the target exists."""
    mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))


def set_propagation(target: str | os.PathLike[str], kind: str) -> None:
    """``kind``: private, slave, shared, unbindable, each with r in front for the whole tree."""
    mount("none", target, None, _PROPAGATION[kind])


def parse_options(text: str) -> tuple[int, str]:
    """An option string as in fstab, as (flags, what is left for the filesystem)."""
    flags, rest = 0, []
    for option in text.split(","):
        known = _OPTIONS.get(option)
        if known is not None:
            flags = (flags | known[0]) & ~known[1]
        elif option:
            rest.append(option)
    return flags, ",".join(rest)


def in_directory(directory: str | os.PathLike[str], action: Callable[[], T]) -> T:
    """Run ``action`` with ``directory`` as its working directory, in a short-lived thread with a cwd of its own.

    The rest of the process keeps its working directory. It lets mount(2) take short relative paths: an overlay of
    127 layers then fits the kernel's page of option text, whatever the data root is called.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            if _libc.unshare(_CLONE_FS) != 0:
                code = ctypes.get_errno()
                raise OSError(code, f"unshare: {os.strerror(code)}")
            os.chdir(directory)
            outcome.append(action())
        except BaseException as error:      # handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=body, name="solva-mount")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def mounts(under: str | os.PathLike[str] | None = None) -> list[MountEntry]:
    """Mounts of this namespace, in the order of /proc/self/mountinfo; only those at or below ``under`` if given."""
    prefix = None if under is None else os.fspath(under).rstrip("/")
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.split()
            point = _unescape(fields[4])
            if prefix is not None and point != prefix and not point.startswith(prefix + "/"):
                continue
            dash = fields.index("-", 6)
            found.append(MountEntry(point, _unescape(fields[3]), fields[dash + 1], _unescape(fields[dash + 2]),
                                    fields[5], fields[dash + 3] if len(fields) > dash + 3 else ""))
    return found


def is_mountpoint(path: str | os.PathLike[str]) -> bool:
    """Whether something is mounted exactly at ``path``. False for a missing path."""
    try:
        here = os.lstat(path)
        above = os.lstat(Path(path).parent)
    except FileNotFoundError:
        return False
    if here.st_dev != above.st_dev or here.st_ino == above.st_ino:
        return True
    real = os.path.realpath(path)      # a bind mount from the same filesystem shows only in the table
    return any(entry.mount_point == real for entry in mounts(real))
