"""Who a process runs as: ``user[:group]`` by the container's own passwd and group files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from solva.errors import InvalidParameter
from solva.kernel import inroot

MAX_ID = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Identity:
    """``groups`` are the additional ones; ``home`` is "/" for who has none."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(root: Path, user: str, group_add: list[str]) -> Identity:
    """The identity for ``user`` (empty: root) in the file system ``root``. InvalidParameter in Docker's words."""
    passwd = _rows(root, "/etc/passwd")
    groups = _rows(root, "/etc/group")
    name, _, group = user.partition(":")
    name = name or "0"
    row = _find(passwd, name)
    if row is not None:
        uid, gid, login = int(row[2]), int(row[3]), row[0]
        home = row[5] if len(row) > 5 and row[5] else "/"
    elif name.isdigit():
        uid, gid, login, home = int(name), 0, "", "/"
    else:
        raise InvalidParameter(f"unable to find user {name}: no matching entries in passwd file")
    additional: list[int] = []
    if group:
        gid = _group(groups, group)
    elif login:
        additional = [int(entry[2]) for entry in groups if len(entry) > 3 and login in entry[3].split(",")]
    if not 0 <= uid <= MAX_ID or not 0 <= gid <= MAX_ID:
        raise InvalidParameter("uids and gids must be in range 0-2147483647")
    additional += [_group(groups, extra) for extra in group_add]
    ordered = [gid, *(number for number in dict.fromkeys(additional) if number != gid)]
    return Identity(uid, gid, tuple(ordered), home)


def _rows(root: Path, path: str) -> list[list[str]]:
    try:
        text = inroot.read_text(root, path)
    except OSError:
        return []
    rows = [line.strip().split(":") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [row for row in rows if len(row) > 2 and row[2].isdigit()]


def _find(rows: list[list[str]], name: str) -> list[str] | None:
    for row in rows:
        if row[0] == name and len(row) > 3 and row[3].isdigit():
            return row
    if name.isdigit():
        for row in rows:
            if row[2] == name and len(row) > 3 and row[3].isdigit():
                return row
    return None


def _group(rows: list[list[str]], name: str) -> int:
    for row in rows:
        if row[0] == name:
            return int(row[2])
    if name.isdigit():
        return int(name)
    raise InvalidParameter(f"unable to find group {name}: no matching entries in group file")
