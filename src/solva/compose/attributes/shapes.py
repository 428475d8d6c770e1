"""Shapes of attribute values: what validation checks, in Compose's words.

A shape is data: ``Scalar`` (JSON type names), ``Items`` (a list), ``Table`` (free keys), ``Record`` (known keys),
``Either`` (the first whose outer type fits decides the error).
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Path = tuple[str | int, ...]
    Shape = "Scalar | Items | Table | Record | Either"

_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "mapping", list: "array",
          type(None): "null"}


class Scalar:
    """A value of one of ``kinds`` (string integer number boolean null), perhaps one of ``choices``.

    ``cast``: what an interpolated string becomes (boolean integer number); "" leaves it a string.
    """

    __slots__ = ("cast", "choices", "kinds", "most", "pattern")

    def __init__(self, *kinds: str, choices: tuple[str, ...] = (), pattern: str = "",
                 most: tuple[int, int] | None = None, cast: str = "") -> None:
        self.kinds = kinds
        self.cast = cast
        self.choices = choices
        self.pattern = pattern
        self.most = most


class Items:
    """A list of ``shape``. ``unique`` is what the schema says; repeats are dropped by the merge, not refused."""

    __slots__ = ("shape", "unique")

    def __init__(self, shape: Any, *, unique: bool = False) -> None:
        self.shape = shape
        self.unique = unique


class Table:
    """A mapping with keys that match ``keys``, each value of ``shape``."""

    __slots__ = ("keys", "shape")

    def __init__(self, shape: Any, keys: str = "") -> None:
        self.shape = shape
        self.keys = keys


class Record:
    """A mapping with known keys; ``x-`` keys are welcome unless ``extensions`` is False."""

    __slots__ = ("extensions", "fields", "required")

    def __init__(self, fields: dict[str, Any], *, required: tuple[str, ...] = (), extensions: bool = True) -> None:
        self.fields = fields
        self.required = required
        self.extensions = extensions


class Either:
    """One of several shapes."""

    __slots__ = ("shapes",)

    def __init__(self, *shapes: Any) -> None:
        self.shapes = shapes


class Problem(Exception):
    """A value that does not fit: ``path`` of the culprit, and what is wrong."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def check(shape: Any, value: Any, path: Path = ()) -> None:
    """Raise Problem unless ``value`` fits."""
    _CHECKS[type(shape)](shape, value, path)


def _scalar(shape: Scalar, value: Any, path: Path) -> None:
    kind = _KINDS.get(type(value), "string")
    if not (kind in shape.kinds or (kind == "integer" and "number" in shape.kinds)
            or (kind == "number" and "integer" in shape.kinds and value == int(value))):
        names = ["mapping" if name == "object" else name for name in shape.kinds]
        raise Problem(path, f"must be a {' or '.join(names)}")
    if shape.choices and kind == "string" and value not in shape.choices:
        raise Problem(path, "value must be one of " + ", ".join(f"'{choice}'" for choice in shape.choices))
    if shape.pattern and kind == "string" and not re.search(shape.pattern, value):
        raise Problem(path, f"'{value}' does not match pattern '{shape.pattern}'")
    if shape.most is not None and kind != "string" and not shape.most[0] <= value <= shape.most[1]:
        raise Problem(path, f"must be between {shape.most[0]} and {shape.most[1]}")


def _items(shape: Items, value: Any, path: Path) -> None:
    if not isinstance(value, list):
        raise Problem(path, "must be a array")
    for index, item in enumerate(value):
        check(shape.shape, item, (*path, index))


def _table(shape: Table, value: Any, path: Path) -> None:
    if not isinstance(value, dict):
        raise Problem(path, "must be a mapping")
    for key, item in value.items():
        if shape.keys and not re.search(shape.keys, key):
            raise Problem((*path, key), f"additional properties '{key}' not allowed")
        check(shape.shape, item, (*path, key))


def _record(shape: Record, value: Any, path: Path) -> None:
    if not isinstance(value, dict):
        raise Problem(path, "must be a mapping")
    for key, item in value.items():
        known = shape.fields.get(key)
        if known is None:
            if shape.extensions and key.startswith("x-"):
                continue
            raise Problem((*path, key), f"additional properties '{key}' not allowed{suggestion(key, shape.fields)}")
        check(known, item, (*path, key))
    for key in shape.required:
        if key not in value:
            raise Problem(path, f"missing property '{key}'")


def _either(shape: Either, value: Any, path: Path) -> None:
    problems = []
    for option in shape.shapes:
        try:
            check(option, value, path)
        except Problem as problem:
            problems.append((option, problem))
        else:
            return
    wanted: tuple[type, ...] = (Scalar,)
    if isinstance(value, list | dict):
        wanted = (Items,) if isinstance(value, list) else (Record, Table)
    for option, failure in problems:
        if isinstance(option, wanted):
            raise failure
    raise problems[0][1]


_CHECKS: dict[type, Callable[[Any, Any, Any], None]] = {
    Scalar: _scalar, Items: _items, Table: _table, Record: _record, Either: _either,
}


def suggestion(key: str, known: Any) -> str:
    """`` (did you mean 'image'?)`` for a key that is nearly a known one, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(key, list(known), 1, 0.65)
    return f" (did you mean '{near[0]}'?)" if near else ""


def descend(shape: Any, path: tuple[Any, ...], index: int) -> Scalar | None:
    """The scalar shape at ``path[index:]`` below ``shape`` that has a cast, if any."""
    if index == len(path):
        if isinstance(shape, Either):
            for option in shape.shapes:
                if isinstance(option, Scalar) and option.cast:
                    return option
            return None
        return shape if isinstance(shape, Scalar) and shape.cast else None
    part = path[index]
    if isinstance(shape, Record):
        inner = shape.fields.get(part)
        return descend(inner, path, index + 1) if inner is not None else None
    if isinstance(shape, Table | Items):
        return descend(shape.shape, path, index + 1)
    if isinstance(shape, Either):
        for option in shape.shapes:
            found = descend(option, path, index)
            if found is not None:
                return found
    return None


def walk(shape: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar shape below ``shape`` with its path; ``*`` stands for any key or index."""
    if isinstance(shape, Scalar):
        yield prefix, shape
    elif isinstance(shape, Items | Table):
        yield from walk(shape.shape, (*prefix, "*"))
    elif isinstance(shape, Record):
        for key, item in shape.fields.items():
            yield from walk(item, (*prefix, key))
    else:
        for item in shape.shapes:
            yield from walk(item, prefix)


STRING = Scalar("string")
NUMBER = Scalar("number", "string", cast="number")
INTEGER = Scalar("integer", "string", cast="integer")
BOOLEAN = Scalar("boolean", "string", cast="boolean")
SIZE = Scalar("number", "string")
MODE = Scalar("number", "string")
PORT = Scalar("integer", "string")
STRINGS = Items(STRING, unique=True)
STRING_OR_LIST = Either(STRING, STRINGS)
LIST_OR_DICT = Either(Table(Scalar("string", "number", "boolean", "null"), ".+"), Items(STRING, unique=True))
COMMAND = Either(Scalar("null"), STRING, Items(STRING))
NAME = "^[a-zA-Z0-9._-]+$"
OPTIONS = Table(Scalar("string", "number"), "^.+$")
EXTRA_HOSTS = Either(Table(Either(STRING, Items(STRING)), ".+"), Items(STRING, unique=True))
ULIMITS = Table(Either(INTEGER, Record({"hard": INTEGER, "soft": INTEGER}, required=("soft", "hard"))), "^[a-z]+$")
FILE_REFERENCES = Items(Either(STRING, Record({
    "source": STRING, "target": STRING, "uid": STRING, "gid": STRING, "mode": MODE})))
HOOKS = Items(Record({"command": COMMAND, "user": STRING, "privileged": BOOLEAN, "working_dir": STRING,
                      "environment": LIST_OR_DICT}, required=("command",)))
DEVICE_REQUESTS = Items(Record({"capabilities": STRINGS, "count": Scalar("string", "integer"), "device_ids": STRINGS,
                                "driver": STRING, "options": LIST_OR_DICT}))
