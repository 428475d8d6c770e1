"""Names of users and groups by the ``/etc/passwd`` and ``/etc/group`` of a root file system."""

import os

from solva.build import rootpath
from solva.errors import InvalidParameter


def lookup(root: str, owner: str) -> tuple[int, int]:
    """``user[:group]``, names or numbers, as (uid, gid). A name alone takes its primary group, a number itself."""
    user, colon, group = owner.partition(":")
    if not user and not group:
        raise InvalidParameter(f"invalid chown value {owner!r}")
    uid, primary = _user(root, user) if user else (0, 0)
    gid = _group(root, group) if colon and group else primary
    return uid, gid


def _rows(root: str, name: str) -> list[list[str]]:
    try:
        with open(rootpath.inside(root, name), encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n").split(":") for line in file]
    except OSError:
        return []


def _user(root: str, user: str) -> tuple[int, int]:
    rows = _rows(root, "etc/passwd") if os.path.isdir(root) else []
    for row in rows:
        if len(row) >= 4 and row[0] == user and row[2].isdigit() and row[3].isdigit():
            return int(row[2]), int(row[3])
    if user.isdigit():
        uid = int(user)
        return _number(uid, user), uid
    raise InvalidParameter(f"unable to convert uid/gid chown string to host mapping: can't find uid for user {user}: "
                           f"no such user: {user}")


def _group(root: str, group: str) -> int:
    for row in _rows(root, "etc/group"):
        if len(row) >= 3 and row[0] == group and row[2].isdigit():
            return int(row[2])
    if group.isdigit():
        return _number(int(group), group)
    raise InvalidParameter(f"unable to convert uid/gid chown string to host mapping: can't find gid for group {group}: "
                           f"no such group: {group}")


def _number(value: int, text: str) -> int:
    if value > 0xFFFFFFFE:
        raise InvalidParameter(f"uids and gids must be in range 0-4294967294: {text}")
    return value
