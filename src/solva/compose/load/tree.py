"""Rules by place: ``services.*.build.args`` names a place in a compose file, ``*`` any key, ``[]`` any list item."""

from __future__ import annotations

from solva.compose.attributes.convert import placed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Path = tuple[str | int, ...]
    Node = dict[str | None, Any]
    Rule = Callable[[Any, Path], Any]


def rules(table: Mapping[str, Any]) -> Node:
    """``place -> rule`` as a tree: a node's rule is at key None, its children at their part of the place."""
    root: Node = {}
    for place, rule in table.items():
        node = root
        for part in place.split("."):
            node = node.setdefault(part, {})
        node[None] = rule
    return root


def child(node: Node | None, part: str) -> Node | None:
    """The node below ``node`` for a key."""
    if node is None:
        return None
    found: Node | None = node.get(part)
    return found if found is not None else node.get("*")


def walk(value: Any, node: Node, path: Path = ()) -> Any:
    """``value`` with every rule applied where it fits, changed in place. Misfit has the place of what does not."""
    rule = node.get(None)
    return placed(rule, value, path) if rule is not None else descend(value, node, path)


def descend(value: Any, node: Node, path: Path) -> Any:
    """As `walk`, for what is inside ``value`` alone."""
    if isinstance(value, dict):
        anything = node.get("*")
        for key, item in value.items():
            inner = node.get(key, anything)
            if inner is not None:
                value[key] = walk(item, inner, (*path, key))
    elif isinstance(value, list):
        inner = node.get("[]") or node.get("*")
        if inner is not None:
            for index, item in enumerate(value):
                value[index] = walk(item, inner, (*path, index))
    return value


def dotted(path: Path) -> str:
    """A path as Compose writes it: ``services.a.ports.[0]``."""
    return ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in path)
