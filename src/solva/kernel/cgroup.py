"""Control groups: which layout the machine has, reading figures, removing groups."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from solva.kernel.process import unshare

ROOT = Path("/sys/fs/cgroup")
CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE, _MS_SHARED, _MS_BIND = 0x4000, 0x80000, 0x100000, 0x1000
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Layout:
    """``version`` 1 or 2; ``hybrid`` is the mount point of a v2 hierarchy beside v1 ones, or ""; ``controllers``
    maps a v1 controller (or ``name=systemd``) to its directory under the root, and is what v2 offers otherwise."""

    version: int
    hybrid: str
    controllers: dict[str, str]


def probe(mountinfo: str | None = None) -> Layout:
    """The machine's layout, from the mount table."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    controllers: dict[str, str] = {}
    unified: list[str] = []
    version1 = False
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4]
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            unified.append(point)
        elif kind == "cgroup":
            version1 = True
            name = os.path.basename(point)
            for option in options.split(","):
                if option in _V1 or option.startswith("name="):
                    controllers[option] = name
    if version1:
        return Layout(1, unified[0] if unified else "", controllers)
    if not unified:
        return Layout(0, "", {})
    try:
        names = (Path(unified[0]) / "cgroup.controllers").read_text().split()
    except OSError:
        names = []
    return Layout(2, "", dict.fromkeys(names, ""))


_V1 = frozenset(
    ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio",
     "perf_event", "rdma", "misc")
)


def hide(mount_point: str) -> None:
    """Give the calling thread a mount namespace, slave of the one it had, in which ``mount_point`` is not mounted."""
    unshare(CLONE_NEWNS)
    _mount(None, "/", _MS_REC | _MS_SLAVE)
    if mount_point and _libc.umount2(os.fsencode(mount_point), _MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"umount {mount_point}: {os.strerror(number)}")


def propagation(path: str | os.PathLike[str], mountinfo: str | None = None) -> tuple[str, bool]:
    """The mount point that ``path`` lies on, and whether what is mounted below it is seen by slave namespaces."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    wanted = os.path.realpath(path)
    best, shared = "/", False
    for line in text.splitlines():
        fields = line.split(" - ")[0].split()
        point = fields[4].replace("\\040", " ")
        if (wanted == point or wanted.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, shared = point, any(field.startswith("shared:") for field in fields[6:])
    return best, shared


def share(path: str | os.PathLike[str]) -> None:
    """Make sure that mounts below ``path`` reach slave namespaces: where it lies on a private mount it becomes a
    shared mount of its own. Nothing happens a second time. Call before anything is mounted below it."""
    _, shared = propagation(path)
    if shared:
        return
    _mount(os.fspath(path), os.fspath(path), _MS_BIND)
    _mount(None, os.fspath(path), _MS_SHARED)


def _mount(source: str | None, target: str, flags: int) -> None:
    if _libc.mount(None if source is None else os.fsencode(source), os.fsencode(target), None,
                   ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {target}: {os.strerror(number)}")


def directories(layout: Layout, path: str, root: Path = ROOT) -> list[Path]:
    """The directories of group ``path`` (``/solva/<id>``) in every hierarchy."""
    relative = path.strip("/")
    if layout.version == 2:
        return [root / relative]
    names = sorted(set(layout.controllers.values()))
    return [root / name / relative for name in names]


def remove(layout: Layout, path: str) -> list[OSError]:
    """Remove the group and what is below it everywhere; errors other than "gone already" are returned."""
    errors = []
    for directory in directories(layout, path):
        try:
            _remove_tree(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            errors.append(error)
    return errors


def _remove_tree(directory: Path) -> None:
    try:
        os.rmdir(directory)
        return
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and error.errno not in (16, 39):
            raise
        if isinstance(error, FileNotFoundError):
            raise
    with os.scandir(directory) as entries:
        children = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    for child in children:
        _remove_tree(Path(child))
    os.rmdir(directory)


def processes(layout: Layout, path: str) -> list[int]:
    """The pids in the group, as the host counts them."""
    if layout.version == 2:
        base = ROOT / path.strip("/")
    else:
        name = layout.controllers.get("pids") or layout.controllers.get("memory") or next(
            iter(layout.controllers.values()), "")
        base = ROOT / name / path.strip("/")
    pids: list[int] = []
    for directory, _, _ in os.walk(base):
        try:
            pids += [int(line) for line in (Path(directory) / "cgroup.procs").read_text().split()]
        except OSError:
            continue
    return sorted(pids)


def read_int(path: Path, default: int = 0) -> int:
    """The number in a file; ``max`` and anything unreadable is ``default``."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return default


def read_table(path: Path) -> dict[str, int]:
    """A file of ``name number`` lines."""
    table: dict[str, int] = {}
    try:
        text = path.read_text()
    except OSError:
        return table
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        try:
            table[name] = int(value)
        except ValueError:
            continue
    return table
