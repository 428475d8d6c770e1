"""``.env`` and ``env_file``: Compose's dialect (quotes, escapes, ``export``, comments, variables of earlier lines)."""

from __future__ import annotations

import re

from solva.compose.errors import ComposeError
from solva.compose.load.interpolate import BadTemplate, MissingVariable, substitute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Warn = Callable[[str], None]

_BLANK = " \t\v\f\r\x85\xa0"
_EXPORT = re.compile(r"export\s+", re.ASCII)
_ESCAPE = re.compile(r'\\(?:([abcfnrtv$"\\])|0(\d{0,3}))', re.ASCII)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$$", "a": "\a", "b": "\b", "f": "\f",
            "v": "\v"}


def load(file: str, environment: Mapping[str, str], before: Mapping[str, str], warn: Warn) -> dict[str, str]:
    """The variables of ``file``. ``$V`` and bare names are looked up in ``environment``, then ``before`` (what earlier
    files said), then earlier lines."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except UnicodeDecodeError as error:
        raise ComposeError(f"failed to read {file}: {error}") from None
    except OSError as error:
        raise ComposeError(f"open {file}: {(error.strerror or str(error)).lower()}") from None
    return Parser(text, environment, before, warn, file).parse()


def parse(text: str, environment: Mapping[str, str], file: str = "") -> dict[str, str]:
    """As `load`, from text."""
    return Parser(text, environment, {}, lambda _: None, file).parse()


class Parser:
    """One file. ``lines``: variable -> the line it stands on."""

    def __init__(self, text: str, environment: Mapping[str, str], before: Mapping[str, str], warn: Warn,
                 file: str) -> None:
        self.text = text
        self.environment = environment
        self.values = dict(before)
        self.found: dict[str, str] = {}
        self.lines: dict[str, int] = {}
        self.warn = warn
        self.file = file

    def parse(self) -> dict[str, str]:
        """The file's variables, in order. ComposeError with file and line."""
        index = self.statement(0)
        while index >= 0:
            try:
                index = self.assignment(index)
            except (ValueError, BadTemplate, MissingVariable) as error:
                line = self.text.count("\n", 0, index) + 1
                what = f"invalid template: {error}" if isinstance(error, BadTemplate) else str(error)
                raise ComposeError(f"failed to read {self.file}: line {line}: {what}") from None
            index = self.statement(index)
        return self.found

    def statement(self, index: int) -> int:
        """Where the next assignment starts, -1 at the end."""
        text = self.text
        while index < len(text):
            if text[index].isspace():
                index += 1
            elif text[index] == "#":
                index = text.find("\n", index)
                if index < 0:
                    return -1
            else:
                return index
        return -1

    def assignment(self, start: int) -> int:
        text = self.text
        exported = _EXPORT.match(text, start)
        index = start
        if exported is not None:
            index += 6
            while index < len(text) and text[index] in _BLANK:
                index += 1
        end = index
        while end < len(text) and text[end] not in "=:\n":
            char = text[end]
            if not (char in "_.-[]" or char in _BLANK or char.isalnum()):
                line = text[index:].split("\n", 1)[0]
                raise ValueError(f'unexpected character "{char}" in variable name "{line}"')
            end += 1
        if end >= len(text):
            # A name alone on a last line without its end is nobody's: Compose reads an empty name there.
            return self.bare(text[index:].rstrip(), start, end)
        key = text[index:end].rstrip()
        if " " in key:
            raise ValueError("key cannot contain a space")
        if text[end] == "\n":
            return self.bare(key, start, end)
        index = end + 1
        while index < len(text) and text[index] in _BLANK:
            index += 1
        value, index = self.value(index)
        self.keep(key, value, start)
        return index

    def bare(self, key: str, start: int, end: int) -> int:
        if " " in key:
            raise ValueError("key cannot contain a space")
        value = self.environment.get(key, self.values.get(key))
        if value is not None:
            self.keep(key, value, start)
        return end

    def keep(self, key: str, value: str, start: int) -> None:
        self.found[key] = self.values[key] = value
        self.lines[key] = self.text.count("\n", 0, start) + 1

    def expand(self, text: str) -> str:
        return substitute(text, {**self.values, **self.environment}, self.warn) if "$" in text else text

    def value(self, index: int) -> tuple[str, int]:
        text = self.text
        quote = text[index: index + 1]
        if quote not in ('"', "'") or not quote:
            end = text.find("\n", index)
            end = len(text) if end < 0 else end
            return self.expand(text[index:end].partition(" #")[0].rstrip()), min(end + 1, len(text))
        chars: list[str] = []
        escaped = False
        for end in range(index + 1, len(text)):
            char = text[end]
            if char != quote:
                if not escaped and char == "\\":
                    escaped = True
                    continue
                if escaped:
                    chars.append("\\")
                    escaped = False
                chars.append(char)
            elif escaped:
                escaped = False
                chars.append(char)
            else:
                raw = "".join(chars)
                return (self.expand(unescape(raw)) if quote == '"' else raw), end + 1
        raise ValueError(f"unterminated quoted value {text[index:].split(chr(10), 1)[0]}")


def unescape(raw: str) -> str:
    """``\\n`` and the like in a double-quoted value; ``\\$`` becomes ``$$`` for the substitution that follows."""
    def replace(found: re.Match[str]) -> str:
        if found[1] is not None:
            return _ESCAPES.get(found[1], found[0])
        digits = found[2]
        if len(digits) != 3 or any(digit in "89" for digit in digits) or int(digits, 8) > 255:
            return found[0].replace("\\0", "\\", 1)
        return chr(int(digits, 8))
    return _ESCAPE.sub(replace, raw) if "\\" in raw else raw
