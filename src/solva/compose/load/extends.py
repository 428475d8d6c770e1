"""``extends``: a service that starts from another's configuration, of this file or another one."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load.merge import merge_service
from solva.compose.load.merge import remove as remove_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.options import LoadOptions
    from solva.compose.load.yaml import Document


def apply_extends(content: dict[str, Any], document: Document, options: LoadOptions) -> dict[str, Any]:
    """``content`` with every ``extends`` of its services carried out."""
    services = content.get("services")
    if not services or not any(entry and "extends" in entry for entry in services.values()):
        return content
    done = {name: _extended(name, services, document, options, ()) for name in services}
    return {**content, "services": done}


def _extended(name: str, services: dict[str, Any], document: Document, options: LoadOptions,
              chain: tuple[tuple[str, str], ...]) -> Any:
    entry = services[name]
    if not entry or not entry.get("extends"):
        return entry
    reference = entry["extends"]
    base_name = reference["service"]
    here = (document.file, name)
    if here in chain:
        raise ComposeError("Circular reference:\n" + "\n".join(
            f"{'  extends ' if index else '  '}{service} in {file}" for index, (file, service)
            in enumerate((*chain, here))))
    other, origin = services, document
    if reference.get("file"):
        from solva.compose.load.files import load_other

        file = os.path.normpath(os.path.join(options.working_dir, os.path.expanduser(reference["file"])))
        content, origin = load_other(file, options)
        other = content.get("services") or {}
    if base_name not in other:
        raise ComposeError(f'cannot extend service "{name}" in {origin.file}: service "{base_name}" not found')
    base = _extended(base_name, other, origin, options, (*chain, here)) or {}
    for path in (*document.resets, *document.overrides):
        if path[:2] == ("services", name):
            base = remove_path(base, path[2:])
    merged = merge_service(base, {key: value for key, value in entry.items() if key != "extends"})
    merged.pop("extends", None)
    return merged
