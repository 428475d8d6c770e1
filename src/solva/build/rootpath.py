"""Paths inside a root directory that is not ours: symbolic links are followed as if the root were ``/``.

Nothing runs in the root while it is used (a step's file system is private to the build), so resolving first and
opening after is safe; what matters is that no link, however made, leads outside.
"""

import os
import posixpath
import stat

from solva.errors import InvalidParameter

MAX_LINKS = 255


def clean(path: str) -> str:
    """``path`` as a relative path without ``.`` and ``..``; ``""`` is the root itself."""
    return posixpath.normpath("/" + path).lstrip("/")


def resolve(root: str, path: str, last: bool = True) -> str:
    """Where ``path`` leads inside ``root``, relative to it. What does not exist stays as written.

    ``last=False`` leaves a link in the last component as it is.
    """
    todo = [part for part in path.split("/") if part not in ("", ".")][::-1]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if done:
                done.pop()
            continue
        if "\0" in part:
            raise InvalidParameter(f"invalid path {path!r}: it contains a null byte")
        done.append(part)
        if not todo and not last:
            break
        try:
            target = os.readlink(os.path.join(root, *done))
        except OSError:
            continue        # not a link, or not there
        links += 1
        if links > MAX_LINKS:
            raise InvalidParameter(f"too many links in path {path!r}")
        done.pop()
        if target.startswith("/"):
            done.clear()
        todo.extend(reversed(target.split("/")))
    return "/".join(done)


def inside(root: str, path: str, last: bool = True) -> str:
    """The absolute path on the host of ``path`` inside ``root``."""
    relative = resolve(root, path, last)
    return os.path.join(root, relative) if relative else root


def make_dirs(root: str, path: str, uid: int = 0, gid: int = 0, mode: int = 0o755) -> str:
    """Make ``path`` and its missing parents inside ``root``; the host path of it. Existing ones stay as they are."""
    relative = resolve(root, path)
    current = root
    for part in relative.split("/") if relative else ():
        current = os.path.join(current, part)
        try:
            os.mkdir(current, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(current).st_mode):
                raise InvalidParameter(f"cannot create directory /{relative}: a file is in the way") from None
            continue
        own(current, uid, gid)
        os.chmod(current, mode)
    return current


def own(path: str, uid: int, gid: int) -> None:
    """chown without following links; an ordinary user (tests) may only keep his own."""
    if os.geteuid() == 0:
        os.lchown(path, uid, gid)
