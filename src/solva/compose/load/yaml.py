"""YAML text to plain values, with the position of every key and item.

Scalars follow YAML 1.2 as Compose reads it: ``yes``/``on`` are strings, ``22:22`` is a string, ``0777`` is octal.
Anchors, aliases and ``<<`` are resolved here; ``!reset`` and ``!override`` are recorded by path for the merge.
"""

from __future__ import annotations

import re

import yaml

from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Path = tuple[str | int, ...]

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
_NUMBER_START = frozenset("0123456789+-.")
_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}


_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)([Tt ]\d\d?:\d\d?:\d\d?(\.\d+)?([Zz]|[+-]\d\d:\d\d)?)?\Z", re.ASCII)
_COLON = "\ue03a"     # a private character that stands for a colon of a plain scalar
_HARD_INDENT = re.compile("^[ \xa0]*\xa0[ \xa0]*", re.MULTILINE)


def soft_indent(text: str) -> str:
    """`text` with no-break spaces in its indentation made spaces.

    A file copied from a web page, as the article's is, has them; YAML takes them for text and says "could not find
    expected ':'". Columns stay as they are.
    """
    if "\xa0" not in text:
        return text
    return _HARD_INDENT.sub(lambda found: " " * len(found[0]), text)


class Timestamp:
    """A plain scalar that YAML takes for a date; nothing in a compose file may be one, save below ``x-``."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        found = _DATE.match(self.text)
        assert found is not None
        day = f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}"
        time = (found[4] or "T00:00:00Z")[1:].upper()
        return f"{day}T{time}" + ("" if time[-1] == "Z" or found[6] else "Z")


class Document:
    """One file: its value, and where things stand. Lines and columns count from 1."""

    __slots__ = ("file", "overrides", "positions", "resets", "value")

    def __init__(self, file: str) -> None:
        self.file = file
        self.value: Any = None
        self.positions: dict[Path, tuple[int, int]] = {}
        self.resets: list[Path] = []
        self.overrides: list[Path] = []

    def place(self, path: Path) -> str:
        """``file:line:column`` of the nearest known node at or above ``path``."""
        while path and path not in self.positions:
            path = path[:-1]
        if path in self.positions:
            line, column = self.positions[path]
            return f"{self.file}:{line}:{column}"
        return self.file


def parse(text: str, file: str) -> Document:
    """The document in ``text``; several documents in one file are merged by the caller, one at a time."""
    return parse_all(text, file)[0]


def parse_all(text: str, file: str) -> list[Document]:
    """Every document of ``text``. ComposeError with file, line and column when it is not YAML."""
    text = soft_indent(text)
    while True:
        documents = []
        try:
            events = yaml.parse(text, Loader=yaml.CSafeLoader)
            for event in events:
                if type(event) is yaml.DocumentStartEvent:
                    documents.append(_Builder(events, file).document())
            break
        except yaml.MarkedYAMLError as error:
            mended = _mended(error, text)
            if mended == text:
                raise _syntax_error(error, file) from None
            text = mended
        except (yaml.YAMLError, ValueError) as error:
            raise ComposeError(f"failed to parse {file}: yaml: {error}") from None
    return [document for document in documents if document.value is not None or len(documents) > 1]


def _mended(error: yaml.MarkedYAMLError, text: str) -> str:
    """``text`` with what libyaml refuses and Go's YAML takes replaced at the error; as it is where there is no such."""
    at = _flow_colon(error, text)
    if at >= 0:
        return text[:at] + _COLON + text[at + 1:]
    if error.problem == "found character that cannot start any token" and error.problem_mark is not None:
        return _tab_comment(error.problem_mark.line, text)
    return text


def _tab_comment(line: int, text: str) -> str:
    """Tabs before a comment are spaces where the line above is a comment too."""
    lines = text.splitlines(keepends=True)
    before = next((item for item in reversed(lines[:line]) if item.strip()), "")
    if not lines[line].lstrip(" \t").startswith("#") or not before.lstrip(" \t").startswith("#"):
        return text
    comment = lines[line].lstrip(" \t")
    lines[line] = " " * (len(lines[line]) - len(comment)) + comment
    return "".join(lines)


def _flow_colon(error: yaml.MarkedYAMLError, text: str) -> int:
    """Where the colon of a plain ``a:`` between brackets is: libyaml refuses it, Go's YAML has it in the scalar."""
    if error.problem != "found unexpected ':'" or error.problem_mark is None:
        return -1
    lines = text.splitlines(keepends=True)
    at = sum(map(len, lines[: error.problem_mark.line])) + error.problem_mark.column
    return at if text[at: at + 1] == ":" else -1


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> ComposeError:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark is not None else file
    line = f"line {mark.line + 1}: " if mark is not None else ""
    problem = error.problem or str(error)
    context = f" ({error.context})" if error.context else ""
    return ComposeError(f"failed to parse {where}: yaml: {line}{problem}{context}")


class _Builder:
    """Turns one document's events into values."""

    def __init__(self, events: Any, file: str) -> None:
        self.events = events
        self.result = Document(file)
        self.anchors: dict[str, tuple[Any, Path]] = {}
        self.open: set[str] = set()
        self.dropped = False

    def document(self) -> Document:
        self.result.value = self.node(next(self.events), ())
        return self.result

    def fail(self, mark: Any, message: str) -> ComposeError:
        return ComposeError(f"failed to parse {self.result.file}:{mark.line + 1}:{mark.column + 1}: {message}")

    def node(self, event: Any, path: Path) -> Any:
        kind = type(event)
        mark = event.start_mark
        if path not in self.result.positions:
            self.result.positions[path] = (mark.line + 1, mark.column + 1)
        if kind is yaml.AliasEvent:
            return self.alias(event, path)
        tag = event.tag
        if tag == "!reset":
            self.result.resets.append(_plain(path))
            self.dropped = True
        elif tag == "!override":
            self.result.overrides.append(_plain(path))
        anchor = event.anchor
        if anchor:
            self.open.add(anchor)
        if kind is yaml.ScalarEvent:
            text = event.value.replace(_COLON, ":") if _COLON in event.value else event.value
            value = resolve(text) if event.implicit[0] else self.tagged(text, tag, mark)
        elif kind is yaml.SequenceStartEvent:
            value = self.sequence(path)
        else:
            value = self.mapping(path)
        if anchor:
            self.open.discard(anchor)
            self.anchors[anchor] = (value, path)
        return value

    def tagged(self, text: str, tag: str | None, mark: Any) -> Any:
        try:
            return tagged(text, tag)
        except ValueError as error:
            raise self.fail(mark, f"yaml: {error}") from None

    def alias(self, event: Any, path: Path) -> Any:
        if event.anchor in self.open:
            dotted = ".".join(map(str, path))
            raise self.fail(event.start_mark, f"cycle detected: node at path {dotted} references a node above it")
        if event.anchor not in self.anchors:
            raise self.fail(event.start_mark, f"yaml: unknown anchor '{event.anchor}' referenced")
        value, origin = self.anchors[event.anchor]
        depth = len(origin)
        if isinstance(value, dict | list):
            for known, position in list(self.result.positions.items()):
                if len(known) > depth and known[:depth] == origin:
                    self.result.positions.setdefault(path + known[depth:], position)
        return _copy(value)

    def sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        for event in self.events:
            if type(event) is yaml.SequenceEndEvent:
                return items
            at = (*path, len(items))
            value = self.node(event, at)
            if not self.taken_back():
                items.append(value)
        return items

    def taken_back(self) -> bool:
        """Whether the node just read was a ``!reset`` one."""
        dropped, self.dropped = self.dropped, False
        return dropped

    def mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[Any] = []
        for event in self.events:
            if type(event) is yaml.MappingEndEvent:
                break
            mark = event.start_mark
            if type(event) is not yaml.ScalarEvent:
                raise self.fail(mark, "yaml: a mapping key must be a string")
            key = event.value.replace(_COLON, ":")
            at = (*path, key)
            if key in lines:
                raise self.fail(mark, f'line {mark.line + 1}: mapping key "{key}" already defined at line {lines[key]}')
            lines[key] = mark.line + 1
            if key == "<<" and event.implicit[0]:
                merged.append((self.node(next(self.events), at), mark))
                continue
            if event.implicit[0] and not isinstance(resolve(key), str):
                where = f"in {'.'.join(map(str, path))}" if path else "at top level"
                raise self.fail(mark, f'non-string key {where}: {key} (write "{key}")')
            self.result.positions[at] = (mark.line + 1, mark.column + 1)
            value = self.node(next(self.events), at)
            if not self.taken_back():
                values[key] = value
        for value, mark in merged:
            self.merge_key(values, value, mark, path)
        return values

    def merge_key(self, values: dict[str, Any], value: Any, mark: Any, path: Path) -> None:
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise self.fail(mark, "yaml: map merge requires map or sequence of maps as the value")
            for key, inherited in source.items():
                if key not in values:
                    values[key] = _copy(inherited)
                    origin = self.result.positions.get((*path, "<<", key))
                    self.result.positions.setdefault((*path, key), origin or (mark.line + 1, mark.column + 1))


def _plain(path: Path) -> Path:
    """``path`` without the ``<<`` it came by."""
    return tuple(part for part in path if part != "<<")


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def tagged(text: str, tag: str | None) -> Any:
    """A scalar with an explicit tag, or a quoted one. Tags that are not YAML's own make strings."""
    if tag is None or not tag.startswith("tag:yaml.org,2002:") or tag == "tag:yaml.org,2002:str":
        return text
    if tag == "tag:yaml.org,2002:binary":
        from base64 import b64decode

        return b64decode(text).decode("utf-8", "replace")
    value = resolve(text)
    wanted = tag[18:]
    if wanted == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    kinds: dict[str, Any] = {"int": int, "float": float, "bool": bool, "null": type(None), "timestamp": Timestamp}
    if wanted in kinds and (type(value) is not kinds[wanted]):
        found = next((name for name, kind in kinds.items() if type(value) is kind), "str")
        raise ValueError(f"cannot decode !!{found} `{text}` as a !!{wanted}")
    return value


def resolve(text: str) -> Any:
    """A plain scalar's value."""
    if text in _NULL:
        return None
    first = text[0]
    if first in _NUMBER_START:
        return _number(text)
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    return text


def _number(text: str) -> Any:
    date = _DATE.match(text)
    if date is not None and 1 <= int(date[2]) <= 12 and 1 <= int(date[3]) <= 31:
        return Timestamp(text)
    plain = text.replace("_", "")
    body = plain[1:] if plain[:1] in ("+", "-") else plain
    if body.isdigit() and body.isascii():
        if body[0] != "0" or len(body) == 1:
            value = int(body)
            if value >= 1 << 64 or (plain[0] == "-" and value > 1 << 63):
                return float(plain)
            return -value if plain[0] == "-" else value
        if not set(body) & {"8", "9"}:
            value = int(body, 8)
            return -value if plain[0] == "-" else value
    elif body[:1] == "0" and body[1:2] in ("x", "X", "o", "O", "b", "B"):
        try:
            value = int(body, 0)
        except ValueError:
            return text
        return -value if plain[0] == "-" else value
    if _FLOAT.match(plain):
        found = float(plain)
        return text if abs(found) == _SPECIAL[".inf"] else found
    lower = text.lower()
    return _SPECIAL[lower] if lower in _SPECIAL and text[-3:] in ("inf", "Inf", "INF", "nan", "NaN", "NAN") else text
