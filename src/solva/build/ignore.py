"""Patterns of ``.dockerignore`` and ``COPY --exclude``: Go's filepath.Match per component, ``**``, ``!`` exceptions."""

import posixpath
import re
from collections.abc import Iterable

from solva.errors import InvalidParameter


def match_regex(pattern: str) -> str:
    """One pattern of Go's filepath.Match (with ``**``) as a regular expression. InvalidParameter when malformed."""
    out = ""
    index = 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            if pattern.startswith("*", index):
                index += 1
                if pattern.startswith("/", index):
                    index += 1
                    out += "(?:.*/)?"
                else:
                    out += ".*"
            else:
                out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[":
            text, index = _class(pattern, index)
            out += text
        elif char == "\\":
            if index >= len(pattern):
                raise InvalidParameter(f"syntax error in pattern: {pattern}")
            out += re.escape(pattern[index])
            index += 1
        else:
            out += re.escape(char)
    return out


def _class(pattern: str, index: int) -> tuple[str, int]:
    """A ``[...]`` class that begins before ``index``; the expression and the index after it."""
    negated = pattern.startswith("^", index)
    index += negated
    ranges = ""
    first = True
    while first or not pattern.startswith("]", index):
        low, index = _class_char(pattern, index)
        high = low
        if pattern.startswith("-", index):
            high, index = _class_char(pattern, index + 1)
        if low <= high:
            ranges += f"{re.escape(low)}-{re.escape(high)}"
        first = False
    if not ranges:
        return "(?!)", index + 1
    return (f"(?!/)[^{ranges}]" if negated else f"[{ranges}]"), index + 1


def _class_char(pattern: str, index: int) -> tuple[str, int]:
    if pattern.startswith(("-", "]"), index) or index >= len(pattern):
        raise InvalidParameter(f"syntax error in pattern: {pattern}")
    if pattern[index] == "\\":
        index += 1
        if index >= len(pattern):
            raise InvalidParameter(f"syntax error in pattern: {pattern}")
    return pattern[index], index + 1


def compile_match(pattern: str) -> re.Pattern[str]:
    """``pattern`` for ``fullmatch`` on a path."""
    return re.compile(match_regex(pattern), re.DOTALL)


def patterns_of(text: str) -> list[str]:
    """The patterns of a ``.dockerignore`` file, normalized; exceptions keep their ``!``."""
    found = []
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern[len(mark):].strip()
        if mark and not pattern:
            raise InvalidParameter('illegal exclusion pattern: "!"')
        pattern = posixpath.normpath(pattern).lstrip("/")
        if pattern != ".":
            found.append(mark + pattern)
    return found


class Ignore:
    """An ordered list of patterns; the last one that matches a path, or a parent of it, decides."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        self.has_exceptions = False
        for pattern in patterns:
            exception = pattern.startswith("!")
            self.has_exceptions |= exception
            self._rules.append((compile_match(pattern.removeprefix("!")), exception))

    @classmethod
    def parse(cls, text: str) -> "Ignore":
        """The content of a ``.dockerignore`` file."""
        return cls(patterns_of(text))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def excluded(self, path: str) -> bool:
        """Whether ``path`` (relative, no leading slash) is left out."""
        parts = path.split("/")
        prefixes = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        result = False
        for rule, exception in self._rules:
            if exception == result and any(rule.fullmatch(prefix) for prefix in prefixes):
                result = not exception
        return result
