"""What an overlay's upper directory changes: Docker's list of paths, without mounting anything."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from solva.kernel import xattr

MODIFIED, ADDED, DELETED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Change:
    """``kind``: 0 modified, 1 added, 2 deleted; ``path`` begins with a slash."""

    kind: int
    path: str


def is_whiteout(info: os.stat_result) -> bool:
    """overlayfs's mark that a name of a lower layer is gone."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


class _Walk:
    def __init__(self) -> None:
        self.found: list[Change] = []

    def directory(self, upper: str, lowers: list[str], path: str) -> bool:
        """Changes below ``path``; whether there were any."""
        any_change = False
        with os.scandir(upper) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            info = entry.stat(follow_symlinks=False)
            name = f"{path}/{entry.name}"
            below, old = _below(lowers, entry.name)
            if is_whiteout(info):
                if old is not None:
                    self.found.append(Change(DELETED, name))
                    any_change = True
                continue
            position = len(self.found)
            inside = False
            if stat.S_ISDIR(info.st_mode):
                inside = self.directory(entry.path, [] if xattr.is_opaque(entry.path) else below, name)
                if xattr.is_opaque(entry.path):
                    inside |= self._hidden(below, entry.path, name)
            if old is None:
                self.found.insert(position, Change(ADDED, name))
            elif inside or not (stat.S_ISDIR(info.st_mode) and _same_directory(info, old)):
                self.found.insert(position, Change(MODIFIED, name))
            else:
                continue
            any_change = True
        return any_change

    def _hidden(self, lowers: list[str], upper: str, path: str) -> bool:
        """Names of the lower directories that an opaque one hides and does not have itself."""
        here = set(os.listdir(upper))
        names = {name for lower in lowers for name in os.listdir(lower)} - here
        hidden = [name for name in sorted(names) if _below(lowers, name)[1] is not None]
        self.found.extend(Change(DELETED, f"{path}/{name}") for name in hidden)
        return bool(hidden)


def _below(lowers: list[str], name: str) -> tuple[list[str], os.stat_result | None]:
    """The lower directories that merge at ``name``, topmost first, and what one sees there without the upper."""
    merged: list[str] = []
    first: os.stat_result | None = None
    for lower in lowers:
        path = f"{lower}/{name}"
        try:
            info = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if is_whiteout(info):
            break
        if first is None:
            first = info
        elif not stat.S_ISDIR(info.st_mode):
            break
        if not stat.S_ISDIR(info.st_mode):
            break
        merged.append(path)
        if xattr.is_opaque(path):
            break
    return merged, first


def _same_directory(new: os.stat_result, old: os.stat_result) -> bool:
    return new.st_mode == old.st_mode and new.st_uid == old.st_uid and new.st_gid == old.st_gid \
        and new.st_mtime_ns == old.st_mtime_ns


def changes(upper: Path, lowers: list[Path]) -> list[Change]:
    """``lowers``: the layers below, topmost first. Sorted as Docker shows them: a directory before its content."""
    walk = _Walk()
    walk.directory(str(upper), [str(lower) for lower in lowers], "")
    return sorted(walk.found, key=lambda change: change.path)
