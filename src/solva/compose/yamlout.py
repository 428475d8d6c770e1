"""Plain values to YAML, in the style Compose prints: two blanks, indented lists, quotes only where they are needed."""

from __future__ import annotations

import re

from solva.compose.attributes.units import float_text
from solva.compose.load.yaml import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_BASE60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z", re.ASCII)
_SPECIAL = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
_FIRST = frozenset("-?:,[]{}#&*!|>'\"%@` ")
_OLD_BOOLEANS = frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off",
                           "OFF"))


class Free(dict):  # type: ignore[type-arg]  # typing is not imported at run time
    """A mapping whose keys the user chose; it is printed in the order that Go's YAML gives such keys."""


def in_order(keys: Iterable[str]) -> list[str]:
    """``keys`` as Go's YAML sorts them: letters after the rest, numbers by value."""
    from functools import cmp_to_key

    return sorted(keys, key=cmp_to_key(_compare))


def _compare(left: str, right: str) -> int:
    digits = False
    for index, (first, second) in enumerate(zip(left, right, strict=False)):
        if first == second:
            digits = first.isdigit()
            continue
        letters = first.isalpha(), second.isalpha()
        if all(letters):
            return -1 if first < second else 1
        if any(letters):
            return -1 if letters[0] == digits else 1
        return _compare_numbers(left, right, index)
    return len(left) - len(right)


def _compare_numbers(left: str, right: str, index: int) -> int:
    """Two names that differ at ``index``, where neither has a letter."""
    lead = ""
    if "0" in (left[index], right[index]):
        before = index
        while before and left[before - 1].isdigit():
            before -= 1
        lead = "1" if left[before:index].strip("0") else ""
    numbers = []
    for name in (left, right):
        end = index
        while end < len(name) and name[end].isdigit():
            end += 1
        numbers.append((int(lead + name[index:end] or "0"), end))
    if numbers[0] != numbers[1]:
        return -1 if numbers[0] < numbers[1] else 1
    return -1 if left[index] < right[index] else 1


def dump(value: Any) -> str:
    """``value`` as a YAML document."""
    lines: list[str] = []
    if isinstance(value, dict) and value:
        _mapping(value, 0, lines)
    elif isinstance(value, list) and value:
        _sequence(value, 0, lines)
    else:
        lines.append(_scalar(value, 0))
    return "\n".join(lines) + "\n"


def _mapping(value: dict[str, Any], depth: int, lines: list[str]) -> None:
    pad = " " * depth
    for key in in_order(value) if isinstance(value, Free) else value:
        item = value[key]
        name = _scalar(str(key), depth)
        if len(name) > 128:
            name = f"? {name}\n{pad}"
        if isinstance(item, dict) and item:
            lines.append(f"{pad}{name}:")
            _mapping(item, depth + 2, lines)
        elif isinstance(item, list) and item:
            lines.append(f"{pad}{name}:")
            _sequence(item, depth + 2, lines)
        else:
            lines.append(f"{pad}{name}: {_scalar(item, depth + 2)}")


def _sequence(value: list[Any], depth: int, lines: list[str]) -> None:
    pad = " " * depth
    for item in value:
        start = len(lines)
        if isinstance(item, dict) and item:
            _mapping(item, depth + 2, lines)
        elif isinstance(item, list) and item:
            _sequence(item, depth + 2, lines)
        else:
            lines.append(f"{pad}- {_scalar(item, depth + 2)}")
            continue
        lines[start] = f"{pad}- {lines[start][depth + 2:]}"


def _scalar(value: Any, depth: int) -> str:
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return _SPECIAL.get(repr(value)) or float_text(value)
    if isinstance(value, int):
        return repr(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return _string(str(value), depth)


def _string(text: str, depth: int) -> str:
    if not text or not isinstance(resolve(text), str) or text in _OLD_BOOLEANS or _is_base60(text):
        return f'"{text}"'
    printable = all(char in "\n\t" or _printable(ord(char)) for char in text)
    if "\n" in text and " \n" not in text and text[-1] != " " and printable:
        return _literal(text, depth)
    if not printable or "\t" in text or "\n" in text:
        return _double(text)
    if "\u2028" in text or "\u2029" in text:
        return "'" + text.replace("'", "''") + "'"
    return text if _plain(text) else "'" + text.replace("'", "''") + "'"


def _is_base60(text: str) -> bool:
    return ":" in text and _BASE60.match(text) is not None


def _plain(text: str) -> bool:
    first = text[0]
    if first in _FIRST:
        follows = text[1:2]
        if first not in "-?:" or not follows or follows == " ":
            return False
    if text[-1] in " :" or text.startswith(("---", "...")):
        return False
    return ": " not in text and " #" not in text


def _literal(text: str, depth: int) -> str:
    pad = " " * depth
    chomp = "-" if text[-1] != "\n" else "+" if text == "\n" or text.endswith("\n\n") else ""
    indent = str(2) if text[:1] in " \n" else ""
    body = text[:-1] if text.endswith("\n") else text
    lines = [f"{pad}{line}" if line else "" for line in body.split("\n")]
    return f"|{indent}{chomp}\n" + "\n".join(lines)


_NAMED = {0: "0", 7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 27: "e", 34: '"', 92: "\\", 0x85: "N",
          0xA0: "_", 0x2028: "L", 0x2029: "P"}


def _double(text: str) -> str:
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    code = ord(char)
    if code in _NAMED:
        return f"\\{_NAMED[code]}"
    if _printable(code):
        return char
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _printable(code: int) -> bool:
    return 32 <= code < 127 or (0xA0 <= code < 0x10000 and not 0xD800 <= code < 0xE000 and code not in (
        0xFEFF, 0xFFFE, 0xFFFF))
