"""A folder as a build context: a tar stream, without what ``.dockerignore`` names."""

from __future__ import annotations

import os
import re
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Ignore:
    """Patterns of a ``.dockerignore``: Go's filepath.Match plus ``**``; the last match decides, ``!`` takes back."""

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for raw in text.removeprefix("\ufeff").splitlines():
            line = raw.strip()
            if not line or raw.startswith("#"):
                continue
            keep = line.startswith("!")
            pattern = os.path.normpath(line[1:].strip() if keep else line).lstrip("/")
            if pattern not in (".", ""):
                self._rules.append((keep, re.compile(_expression(pattern))))
        self.has_exceptions = any(keep for keep, _ in self._rules)

    def excludes(self, path: str) -> bool:
        """Whether ``path`` (relative, with ``/``) stays out: it or a folder above it is named."""
        parts = path.split("/")
        candidates = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        excluded = False
        for keep, pattern in self._rules:
            if excluded == keep and any(pattern.fullmatch(candidate) for candidate in candidates):
                excluded = not keep
        return excluded


def _expression(pattern: str) -> str:
    result, index = "", 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            if pattern[index:index + 1] == "*":
                index += 1
                if pattern[index:index + 1] == "/":
                    index += 1
                    result += "(?:.*/)?"
                else:
                    result += ".*"
            else:
                result += "[^/]*"
        elif char == "?":
            result += "[^/]"
        elif char == "[":
            end = pattern.find("]", index + 1)
            if end < 0:
                result += re.escape(char)
                continue
            body = pattern[index:end]
            result += f"[{'^' + body[1:] if body[:1] in ('^', '!') else body}]"
            index = end + 1
        elif char == "\\" and index < len(pattern):
            result += re.escape(pattern[index])
            index += 1
        else:
            result += re.escape(char)
    return result


def ignore_of(root: str, dockerfile: str) -> Ignore:
    """``<Dockerfile>.dockerignore`` beside the Dockerfile where there is one, else the context's ``.dockerignore``."""
    for path in (f"{dockerfile}.dockerignore", os.path.join(root, ".dockerignore")):
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return Ignore(file.read())
    return Ignore("")


def pack(root: str, ignore: Ignore, always: tuple[str, ...], extra: dict[str, bytes]) -> Iterator[bytes]:
    """The tar stream: files of ``root``, those in ``always`` even when ignored, and ``extra`` files by name.

    Owners are root, as Docker's client sends them; the order is by name, so the same folder gives the same stream.
    """
    out = _Sink()
    sink: Any = out
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 18) as tar:
        for name in _names(root, "", ignore, always):
            path = os.path.join(root, name)
            member = tar.gettarinfo(path, arcname=name)
            if member is None:
                continue  # a socket
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            if member.isreg():
                with open(path, "rb") as file:
                    tar.addfile(member, file)
            else:
                tar.addfile(member)
            yield from out.take()
        for name, content in extra.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            import io

            tar.addfile(member, io.BytesIO(content))
    yield from out.take()


def _names(root: str, folder: str, ignore: Ignore, always: tuple[str, ...]) -> Iterator[str]:
    for entry in sorted(os.listdir(os.path.join(root, folder) if folder else root)):
        name = f"{folder}/{entry}" if folder else entry
        path = os.path.join(root, name)
        excluded = ignore.excludes(name) and name not in always
        directory = os.path.isdir(path) and not os.path.islink(path)
        if not excluded:
            yield name
        below = any(wanted.startswith(f"{name}/") for wanted in always)
        if directory and (not excluded or ignore.has_exceptions or below):
            yield from _names(root, name, ignore, always)


class _Sink:
    """What tarfile writes, for whoever takes it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(data)
        return len(data)

    def take(self) -> Iterator[bytes]:
        parts, self._parts = self._parts, []
        yield from parts


def is_archive(head: bytes) -> bool:
    """Whether data that begin with ``head`` are a tar archive, perhaps compressed."""
    return head[257:262] == b"ustar" or head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))
