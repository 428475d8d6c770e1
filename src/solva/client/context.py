"""A build context as a tar stream: ``.dockerignore`` as Docker reads it, symlinks kept, packed as it is sent."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Ignore:
    """The patterns of a ``.dockerignore``; the last one that matches decides."""

    def __init__(self, lines: list[str]) -> None:
        self.rules: list[tuple[re.Pattern[str], bool]] = []
        self.exceptions = False
        for line in lines:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            negated = line.startswith("!")
            pattern = line[1:].strip() if negated else line
            pattern = os.path.normpath(pattern).lstrip("/")
            if pattern in ("", "."):
                continue
            self.exceptions |= negated
            self.rules.append((re.compile(_regex(pattern)), negated))

    def matches(self, path: str) -> bool:
        """Whether ``path`` (relative, ``/`` between) is left out. A pattern that names a parent counts."""
        parts = path.split("/")
        ignored = False
        for pattern, negated in self.rules:
            if ignored != negated:
                continue
            if any(pattern.match("/".join(parts[: count + 1])) for count in range(len(parts))):
                ignored = not negated
        return ignored


def _regex(pattern: str) -> str:
    out = ""
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "*":
            if pattern[index: index + 2] == "**":
                index += 2
                if pattern[index: index + 1] == "/":
                    index += 1
                    out += "(?:.*/)?"
                else:
                    out += ".*"
                continue
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[":
            end = pattern.find("]", index + 2)
            if end < 0:
                out += re.escape(char)
            else:
                inner = pattern[index + 1: end]
                out += "[" + inner.replace("\\", "\\\\") + "]"
                index = end
        elif char == "\\" and index + 1 < len(pattern):
            index += 1
            out += re.escape(pattern[index])
        else:
            out += re.escape(char)
        index += 1
    return out + r"\Z"


def read_ignore(context: str, dockerfile: str = "") -> Ignore:
    """``<dockerfile>.dockerignore`` next to the Dockerfile if there, else the context's ``.dockerignore``."""
    for path in ([dockerfile + ".dockerignore"] if dockerfile else []) + [os.path.join(context, ".dockerignore")]:
        try:
            with open(path, encoding="utf-8-sig") as stream:
                return Ignore(stream.read().splitlines())
        except (FileNotFoundError, NotADirectoryError):
            continue
    return Ignore([])


def files(context: str, ignore: Ignore, keep: frozenset[str] = frozenset()) -> Iterator[str]:
    """Relative paths of everything sent, directories before what is in them. ``keep`` is sent whatever is ignored."""
    def walk(relative: str) -> Iterator[str]:
        with os.scandir(os.path.join(context, relative)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = f"{relative}/{entry.name}" if relative else entry.name
            directory = entry.is_dir(follow_symlinks=False)
            ignored = ignore.matches(path) and path not in keep
            if not ignored:
                yield path
            elif directory and not (ignore.exceptions or any(name.startswith(path + "/") for name in keep)):
                continue
            if directory:
                yield from walk(path)
    yield from walk("")


class _Pipe:
    """What tarfile writes, taken out chunk by chunk."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        return data


def pack(context: str, dockerfile: str = "Dockerfile", extra: dict[str, bytes] | None = None) -> Iterator[bytes]:
    """The tar of the directory ``context``. ``dockerfile`` (relative to it) and ``.dockerignore`` are always sent;
    ``extra``: files by name that are not in the directory (a Dockerfile from elsewhere, or inline)."""
    import io
    import tarfile

    extra = extra or {}
    pipe = _Pipe()
    ignore = read_ignore(context, os.path.join(context, dockerfile) if dockerfile not in extra else "")
    keep = frozenset((".dockerignore", os.path.normpath(dockerfile)))
    with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for path in files(context, ignore, keep):
            if path in extra:
                continue
            try:
                info = tar.gettarinfo(os.path.join(context, path), arcname=path)
            except FileNotFoundError:
                continue
            if info is None:        # a socket
                continue
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            if info.isreg():
                with open(os.path.join(context, path), "rb") as stream:
                    tar.addfile(info, stream)
            else:
                tar.addfile(info)
            if sum(map(len, pipe.parts)) > 1 << 18:
                yield pipe.take()
        for name, data in extra.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    yield pipe.take()
