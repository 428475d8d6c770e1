"""The functions a template may call: Go's and Docker's, and Go's way of printing values."""

from __future__ import annotations

from solva.cli.output.gojson import compact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def show(value: Any) -> str:
    """``value`` as Go's fmt.Print writes it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        return repr(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_plain(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(_plain(item) for item in value) + "]"
    convert = getattr(value, "template_json", None)
    return _plain(convert()) if convert else str(value)


def truth(value: Any) -> bool:
    """Whether Go's templates hold ``value`` for true: not empty, not zero."""
    return bool(value)


def _json(value: Any) -> str:
    return compact(value)


def _len(value: Any) -> int:
    if value is None:
        raise TypeError("len of nil pointer")
    if isinstance(value, bool | int | float):
        raise TypeError(f"len of type {_type(value)}")
    if isinstance(value, str):
        return len(value.encode())
    return len(value)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    return "float64" if isinstance(value, float) else "string"


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None and isinstance(key, str):
            return ""  # an empty map of the engine arrives as null
        if value is None:
            raise TypeError("index of untyped nil")
        if isinstance(value, dict):
            value = value.get(key if key in value else str(key), "" if _flat(value) else None)
        elif isinstance(value, list | tuple | str):
            if isinstance(key, bool) or not isinstance(key, int):
                raise TypeError(f"cannot index slice/array with type {_type(key)}")
            if not 0 <= key < len(value):
                raise IndexError(f"reflect: slice index out of range: {key}" if key >= 0 else
                                 f"index out of range: {key}")
            value = value.encode()[key] if isinstance(value, str) else value[key]
        else:
            raise TypeError(f"can't index item of type {_type(value)}")
    return value


def _flat(value: dict[str, Any]) -> bool:
    """Whether a map looks like Go's map[string]string, where a missing key is the empty string."""
    return all(isinstance(item, str) for item in value.values())


def _slice(value: Any, *bounds: int) -> Any:
    start = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= start <= end <= len(value):
        raise IndexError(f"index out of range: {end}")
    return value[start:end]


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TypeError("missing argument for comparison")
    for other in others:
        if first is not None and other is not None and isinstance(first, str) != isinstance(other, str):
            raise TypeError("incompatible types for comparison")
    return any(first == other for other in others)


def _printf(layout: str, *args: Any) -> str:
    result, index, used = "", 0, 0
    while index < len(layout):
        char = layout[index]
        index += 1
        if char != "%":
            result += char
            continue
        start = index
        while index < len(layout) and layout[index] in "+-# 0123456789.":
            index += 1
        flags, verb = layout[start:index], layout[index:index + 1]
        index += 1
        if verb == "%":
            result += "%"
            continue
        if used >= len(args):
            result += f"%!{verb}(MISSING)"
            continue
        result += _formatted(flags, verb, args[used])
        used += 1
    if used < len(args):
        extra = ", ".join(f"{_type(arg)}={_plain(arg)}" for arg in args[used:])
        result += f"%!(EXTRA {extra})"
    return result


def _formatted(flags: str, verb: str, value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb in "dxXobc" and isinstance(value, int) and not isinstance(value, bool):
        return str(("%" + flags + verb) % value) if verb in "dxXoc" else format(value, flags + "b")
    if verb in "feEgG" and number:
        return str(("%" + flags + verb) % value)
    if verb == "t" and isinstance(value, bool):
        return _plain(value)
    if verb == "q":
        return ("%" + flags + "s") % compact(_plain(value))
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if verb == "T":
        return _type(value)
    if verb in "sv":
        if verb == "s" and (number or isinstance(value, bool)):
            return f"%!s({_type(value)}={_plain(value)})"
        return ("%" + flags.replace("+", "").replace("#", "") + "s") % _plain(value)
    return f"%!{verb}({_type(value)}={_plain(value)})"


def _print(*args: Any) -> str:
    """fmt.Sprint: a space between operands when neither is a string."""
    result = ""
    for index, arg in enumerate(args):
        if index and not isinstance(arg, str) and not isinstance(args[index - 1], str):
            result += " "
        result += _plain(arg)
    return result


def _html(*args: Any) -> str:
    text = _print(*args)
    for raw, safe in (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(raw, safe)
    return text


def _urlquery(*args: Any) -> str:
    from solva.client.transport import quote

    return quote(_print(*args)).replace("%20", "+")


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _pad(text: str, left: int, right: int) -> str:
    return " " * left + text + " " * right if text else text


def _truncate(text: str, limit: int) -> str:
    return text[:limit]


def _join(items: Any, separator: str) -> str:
    return separator.join(_plain(item) for item in items or [])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": _json, "len": _len, "index": _index, "slice": _slice, "printf": _printf, "print": _print,
    "println": lambda *args: " ".join(_plain(arg) for arg in args) + "\n",
    "not": lambda value: not truth(value),
    "eq": _eq, "ne": lambda left, right: left != right,
    "lt": lambda left, right: left < right, "le": lambda left, right: left <= right,
    "gt": lambda left, right: left > right, "ge": lambda left, right: left >= right,
    "html": _html, "js": lambda *args: compact(_print(*args), html=True)[1:-1], "urlquery": _urlquery,
    "call": lambda function, *args: function(*args),
    "upper": lambda text: str(text).upper(), "lower": lambda text: str(text).lower(), "title": _title,
    "split": lambda text, separator: text.split(separator), "join": _join, "pad": _pad, "truncate": _truncate,
}
