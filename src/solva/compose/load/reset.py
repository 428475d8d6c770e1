"""``!reset`` and ``!override``: what a later file takes away from the earlier ones."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.tree import Path
    from solva.compose.load.yaml import Document


def reset(content: Any, document: Document) -> None:
    """Remove from ``content``, in place, what ``document`` resets or overrides."""
    for path in (*document.resets, *document.overrides):
        _remove(content, path)


def _remove(content: Any, path: Path) -> None:
    if not path:        # the tag stands at the file's root
        content.clear()
        return
    part = path[0]
    if isinstance(content, dict) and part in content:
        if len(path) == 1:
            del content[part]
        else:
            _remove(content[part], path[1:])
