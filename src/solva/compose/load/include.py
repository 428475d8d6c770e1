"""``include``: other compose files, each loaded with its own directory and environment, merged in without conflict."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load import dotenv, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.options import LoadOptions

_SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")


def apply_include(content: dict[str, Any], file: str, options: LoadOptions, chain: tuple[str, ...]) -> dict[str, Any]:
    """``content`` with everything its ``include`` names."""
    from solva.compose.load.files import load_files

    result = {key: value for key, value in content.items() if key != "include"}
    for entry in content["include"]:
        files = [paths.absolute(item, options.working_dir) for item in entry["path"]]
        for item in files:
            if item in chain:
                raise ComposeError("include cycle detected:\n" + "\n include ".join((*chain, item)))
        directory = entry.get("project_directory")
        directory = paths.absolute(directory, options.working_dir) if directory else os.path.dirname(files[0])
        environment = dict(_environment(entry, directory, options))
        environment.update(options.environment)
        inner = options.inside(directory, environment)
        imported = load_files(files, inner, chain)
        if options.resolve_paths:
            imported = paths.resolve(imported, directory)
        _import(result, imported)
    return result


def _environment(entry: dict[str, Any], directory: str, options: LoadOptions) -> dict[str, str]:
    files = [paths.absolute(item, options.working_dir) for item in entry.get("env_file") or ()]
    if not files:
        default = os.path.join(directory, ".env")
        files = [default] if os.path.isfile(default) else []
    values: dict[str, str] = {}
    for item in files:
        if item == "/dev/null":
            continue
        if not os.path.isfile(item):
            raise ComposeError(f"Couldn't find env file: {item}")
        values.update(dotenv.load(item, {**values, **options.environment}))
    return values


def _import(target: dict[str, Any], imported: dict[str, Any]) -> None:
    for section in _SECTIONS:
        entries = imported.get(section)
        if not entries:
            continue
        existing = dict(target.get(section) or {})
        for name, entry in entries.items():
            if name in existing and existing[name] != entry:
                raise ComposeError(f"{section}.{name} conflicts with imported resource")
            existing[name] = entry
        target[section] = existing
