"""JSON as Go prints it: compact or indented, with or without its HTML escapes."""

from __future__ import annotations

from solva.client.fastjson import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HTML = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def compact(value: Any, *, html: bool = False, sort: bool = False) -> str:
    """``value`` on one line."""
    return _write(value, "", "", html, sort)


def indented(value: Any, indent: str = "    ", *, html: bool = False, sort: bool = False) -> str:
    """``value`` over many lines."""
    return _write(value, indent, "\n", html, sort)


def _write(value: Any, indent: str, line: str, html: bool, sort: bool) -> str:
    if isinstance(value, str):
        text = quoted(value)
        return text.translate(_HTML) if html else text
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    inner = line + indent if indent else ""
    space = " " if indent else ""
    if isinstance(value, dict):
        if not value:
            return "{}"
        items = sorted(value.items()) if sort else value.items()
        body = ("," + inner).join(
            f"{_write(str(key), indent, inner, html, sort)}:{space}{_write(item, indent, inner, html, sort)}"
            for key, item in items)
        return "{" + inner + body + line + "}"
    if isinstance(value, list | tuple):
        if not value:
            return "[]"
        return "[" + inner + ("," + inner).join(_write(item, indent, inner, html, sort) for item in value) + line + "]"
    convert = getattr(value, "template_json", None)
    return _write(convert() if convert else str(value), indent, line, html, sort)
