"""Values that stand in the environment: of ``- NAME`` items, of secrets and configs, of env and label files."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load import dotenv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from solva.compose.load.options import LoadOptions


def resolve(content: dict[str, Any], environment: Mapping[str, str]) -> None:
    """``environment: [NAME]`` gets its value while the file's own environment is known, in place."""
    for entry in (content.get("services") or {}).values():
        if isinstance(entry, dict) and isinstance(entry.get("environment"), list):
            entry["environment"] = [f"{item}={environment[item]}" if item in environment else item
                                    for item in entry["environment"]]
    for entry in (content.get("configs") or {}).values():
        if isinstance(entry, dict) and entry.get("environment") in environment:
            entry["content"] = environment[entry["environment"]]


def services(found: dict[str, Any], options: LoadOptions, *, keep_files: bool = False) -> dict[str, Any]:
    """Services with ``env_file`` read into ``environment``, and the files' names gone."""
    result = {}
    for name, entry in found.items():
        entry = dict(entry)
        given = {key: options.environment.get(key) if value is None else value
                 for key, value in (entry.get("environment") or {}).items()}
        values = {key: value for key, value in given.items() if value is not None}
        lookup = {**values, **options.environment}
        for item in entry.get("env_file") or ():
            _read(item, lookup, values, options.warn, options.places.place(("services", name, "env_file")))
        merged = {**values, **given}
        if merged:
            entry["environment"] = merged
        if not keep_files:
            entry.pop("env_file", None)
        result[name] = entry
    return result


def label_files(found: dict[str, Any], options: LoadOptions, *, keep: bool) -> dict[str, Any]:
    """Services with ``label_file`` read into ``labels``."""
    result = {}
    for name, entry in found.items():
        if entry.get("label_file"):
            entry = dict(entry)
            labels: dict[str, Any] = {}
            for file in entry["label_file"] if keep else entry.pop("label_file"):
                at = options.places.place(("services", name, "label_file"))
                if not os.path.exists(file):
                    raise ComposeError(f"{at}: label file {file} not found: stat {file}: no such file or directory")
                labels.update(dotenv.load(file, labels, {}, options.warn))
            entry["labels"] = {**labels, **(entry.get("labels") or {})}
        result[name] = entry
    return result


def _read(item: dict[str, Any], lookup: Mapping[str, str], values: dict[str, str], warn: Callable[[str], None],
          at: str) -> None:
    path = item.get("path", "")
    if not os.path.exists(path):
        if item.get("required", True):
            raise ComposeError(f"{at}: env file {path} not found: stat {path}: no such file or directory")
        return
    if os.path.isdir(path):
        raise ComposeError(f"{at}: read {path}: is a directory")
    form = item.get("format") or ".env"
    if form == "raw":
        values.update(_raw(path, lookup, at))
    elif form == ".env":
        values.update(dotenv.load(path, lookup, values, warn))
    else:
        raise ComposeError(f'{at}: unsupported env_file format "{form}" (raw, or none at all)')


def _raw(path: str, lookup: Mapping[str, str], at: str) -> dict[str, str]:
    """Lines as they stand: no quotes, no variables; a name alone takes the environment's value."""
    values: dict[str, str] = {}
    with open(path, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream.read().splitlines(), 1):
            line = line.lstrip()
            if not line or line.startswith("#"):
                continue
            key, equals, value = line.partition("=")
            if not key or any(char.isspace() for char in key):
                why = "no variable name on line" if not key else "variable name contains whitespaces:"
                raise ComposeError(f"{at}: failed to parse env_file {path}:{number}: {why} '{line}'")
            if equals:
                values[key] = value
            elif key in lookup:
                values[key] = lookup[key]
    return values
