"""Every attribute to its one form, by its row."""

from __future__ import annotations

from solva.compose.attributes import convert
from solva.compose.attributes.resources import SECTIONS
from solva.compose.attributes.service import ATTRIBUTES
from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.yaml import Document


def canonical(value: dict[str, Any], document: Document, *, strict: bool = True) -> dict[str, Any]:
    """The content of one file in canonical form. ``strict`` False keeps what does not convert (variables in it)."""
    result = dict(value)
    for section in ("services", *SECTIONS):
        entries = result.get(section)
        if entries is None:
            continue
        rows = ATTRIBUTES if section == "services" else SECTIONS[section]
        result[section] = {name: _entry(rows, entry, (section, name), document, strict)
                           for name, entry in entries.items()}
    if result.get("include"):
        result["include"] = convert.include(result["include"], ("include",))
    return result


def _entry(rows: dict[str, Any], entry: Any, path: tuple[str, ...], document: Document, strict: bool) -> Any:
    if entry is None:
        return None
    result: dict[str, Any] = {}
    for name, value in entry.items():
        row = rows.get(name)
        if row is None or (value is None and row.convert is not convert.command):
            result[name] = value
            continue
        try:
            result[name] = row.convert(value, (*path, name))
        except (ValueError, TypeError, AttributeError) as error:
            if strict:
                raise ComposeError(f"{document.place((*path, name))}: {_text(error, path, name)}") from None
            result[name] = value
    if isinstance(entry.get("external"), dict) and entry["external"].get("name"):
        result.setdefault("name", entry["external"]["name"])
    return result


def _text(error: Exception, path: tuple[str, ...], name: str) -> str:
    text = str(error)
    if text.startswith(("time:", "invalid size", "strconv")):
        return f"'{path[0]}[{path[1]}].{name}' {text}"
    return text
