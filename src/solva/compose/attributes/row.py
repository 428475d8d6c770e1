"""The row: everything loading knows of one attribute."""

from __future__ import annotations

from solva.compose.attributes import convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.attributes.convert import Convert


class Attribute:
    """One attribute of a service (or network, volume ...).

    ``convert``: to the model's form. ``note``: why it has no effect on a container request, where it has none.
    What is valid is said by the schema (``schema/compose-spec.json``, see `load.validate`).
    """

    __slots__ = ("convert", "name", "note")

    def __init__(self, name: str, convert: Convert = convert.string, *, note: str = "") -> None:
        self.name = name
        self.convert = convert
        self.note = note


def convert_entry(rows: dict[str, Attribute], entry: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """A whole service, network ...: its attributes by their rows, ``x-`` keys as they are, the rest left out."""
    result: dict[str, Any] = {}
    for name, value in entry.items():
        row = rows.get(name)
        if row is None:
            if name.startswith("x-"):
                result[name] = value
        elif value is not None:
            result[name] = convert.placed(row.convert, value, (*path, name))
    return result
