"""The row: everything loading knows of one attribute."""

from __future__ import annotations

from solva.compose.attributes import convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Attribute:
    """One attribute of a service (or network, volume ...).

    ``shape``: what validation accepts. ``convert``: to the canonical form. ``merge``: how a later file's value meets
    an earlier one's (see `load.merge`). ``path``: which parts are relative paths (see `load.paths`). ``note``: why it
    has no effect on a container request, where it has none.
    """

    __slots__ = ("convert", "merge", "name", "note", "path", "shape")

    def __init__(self, name: str, shape: Any, convert: Callable[[Any, Any], Any] = convert.same, *,
                 merge: str = "merge", path: str = "", note: str = "") -> None:
        self.name = name
        self.shape = shape
        self.convert = convert
        self.merge = merge
        self.path = path
        self.note = note
