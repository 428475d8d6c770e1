"""``.env`` and ``env_file``: Compose's dialect (quotes, escapes, ``export``, comments, variables of earlier lines)."""

from __future__ import annotations

from solva.compose.errors import ComposeError
from solva.compose.load.interpolate import BadTemplate, MissingVariable, substitute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANK = " \t\v\f\r\x85\xa0"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'", "$": "$$", "a": "\a", "b": "\b",
            "f": "\f", "v": "\v"}


def load(file: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``file``; ``environment`` answers ``$V`` and bare names, before the file's own lines."""
    try:
        with open(file, encoding="utf-8-sig") as stream:
            text = stream.read()
    except UnicodeDecodeError as error:
        raise ComposeError(f"failed to read {file}: {error}") from None
    return parse(text, environment, file)


def parse(text: str, environment: Mapping[str, str], file: str = "") -> dict[str, str]:
    """As `load`, from text."""
    values: dict[str, str] = {}
    index = 0
    text = text.replace("\r\n", "\n")
    while True:
        index = _statement(text, index)
        if index < 0:
            return values
        line = text.count("\n", 0, index) + 1
        try:
            index = _assignment(text, index, values, environment)
        except (ValueError, BadTemplate, MissingVariable) as error:
            raise ComposeError(f"failed to read {file}: line {line}: {error}") from None


def _statement(text: str, index: int) -> int:
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


def _assignment(text: str, index: int, values: dict[str, str], environment: Mapping[str, str]) -> int:
    if text.startswith("export", index) and text[index + 6: index + 7] in tuple(_BLANK):
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
    key = text[index:end].rstrip()
    if any(char in _BLANK for char in key):
        raise ValueError("key cannot contain a space")
    if end >= len(text) or text[end] == "\n":
        if key in environment:
            values[key] = environment[key]
        return end
    index = end + 1
    while index < len(text) and text[index] in _BLANK:
        index += 1
    value, index = _value(text, index, values, environment)
    values[key] = value
    return index


class _Scope(dict[str, str]):
    """Variables of the file, the process's first."""


def _expand(text: str, values: dict[str, str], environment: Mapping[str, str]) -> str:
    if "$" not in text:
        return text
    return substitute(text, _Scope({**values, **environment}), lambda _: None)


def _value(text: str, index: int, values: dict[str, str], environment: Mapping[str, str]) -> tuple[str, int]:
    quote = text[index: index + 1]
    if quote not in ('"', "'") or not quote:
        end = text.find("\n", index)
        end = len(text) if end < 0 else end
        raw = text[index:end]
        for position, char in enumerate(raw):
            if char == "#" and (position == 0 or raw[position - 1] in _BLANK):
                raw = raw[:position]
                break
        return _expand(raw.strip(), values, environment), end
    end = index + 1
    while end < len(text):
        if text[end] == "\\" and end + 1 < len(text):
            end += 2
            continue
        if text[end] == quote:
            break
        end += 1
    else:
        raise ValueError(f"unterminated quoted value {text[index:].split(chr(10), 1)[0]}")
    raw = text[index + 1: end]
    rest = text.find("\n", end)
    rest = len(text) if rest < 0 else rest
    if quote == "'":
        return raw.replace("\\'", "'"), rest
    return _expand(_unescape(raw), values, environment), rest


def _unescape(raw: str) -> str:
    if "\\" not in raw:
        return raw
    out = []
    index = 0
    while index < len(raw):
        char = raw[index]
        if char == "\\" and index + 1 < len(raw):
            follow = raw[index + 1]
            out.append(_ESCAPES.get(follow, char + follow))
            index += 2
        else:
            out.append(char)
            index += 1
    return "".join(out)
