"""Bodies as Go's encoding/json reads them: keys in whatever case, ``null`` is "not given"."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

Reader = Callable[[Any], Any]
_readers: dict[Any, Reader] = {}


def without_nulls(value: Any) -> Any:
    """``value`` with every key whose value is null left out, at every depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    return value


def reader(type_: Any) -> Reader:
    """What makes a decoded JSON value fit for ``msgspec.convert``: nulls gone, keys of Structs in their own spelling
    (an exactly spelled key wins over another case of it)."""
    made = _readers.get(type_)
    if made is None:
        made = _readers[type_] = _make(type_)
    return made


def _make(type_: Any) -> Reader:
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _struct_reader(type_)
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (Union, types.UnionType):
        inner = [each for each in arguments if each is not type(None)]
        return reader(inner[0]) if len(inner) == 1 else without_nulls
    if origin in (list, tuple) and arguments:
        each = reader(arguments[0])
        return lambda value: ([each(item) for item in value if item is not None] if isinstance(value, list)
                              else value)
    if origin is dict and len(arguments) == 2:
        of_value = reader(arguments[1])
        return lambda value: ({key: of_value(item) for key, item in value.items() if item is not None}
                              if isinstance(value, dict) else value)
    return without_nulls


def _struct_reader(type_: type[msgspec.Struct]) -> Reader:
    hints = get_type_hints(type_)
    names = dict(zip(type_.__struct_encode_fields__, type_.__struct_fields__, strict=True))
    by_case = {name.lower(): name for name in names}
    readers: dict[str, Reader] = {}

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        result: dict[str, Any] = {}
        for key, item in value.items():
            if item is None:
                continue
            name = key if key in names else by_case.get(key.lower())
            if name is None or (name != key and name in value):
                continue
            if name not in readers:
                readers[name] = reader(hints[names[name]])
            result[name] = readers[name](item)
        return result
    return read
