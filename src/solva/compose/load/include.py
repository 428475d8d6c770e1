"""``include``: other compose files, each loaded with its own directory and environment, merged in without conflict."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load import dotenv, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.options import LoadOptions
    from solva.compose.load.remote import Remote

_SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")


def apply_include(content: dict[str, Any], options: LoadOptions, chain: tuple[str, ...]) -> None:
    """Everything that the ``include`` of ``content`` names, brought into it. ``chain``: the files being read."""
    entries = content.get("include")
    if entries is None:
        return
    if not isinstance(entries, list):
        raise ComposeError(f"{options.places.place(('include',))}: `include` must be a list")
    for index, item in enumerate(entries):
        at = options.places.place(("include", index))
        entry = {"path": item} if isinstance(item, str) else item
        if not isinstance(entry, dict):
            raise ComposeError(f"{at}: include.[{index}] must be a string or a mapping")
        _import(content, _included(entry, options, chain, at), at)
    del content["include"]


def _included(entry: dict[str, Any], options: LoadOptions, chain: tuple[str, ...], at: str) -> dict[str, Any]:
    from solva.compose.load.files import load_model

    named = _texts(entry.get("path"), at)
    files = [_local(item, options, at) for item in named]
    if not files or not all(files):
        raise ComposeError(f"{at}: include without a path")
    for item in files:
        if not os.path.isfile(item):
            why = "is a directory" if os.path.isdir(item) else "no such file or directory"
            raise ComposeError(f"{at}: open {item}: {why}")
    if files[0] in chain:
        raise ComposeError("include cycle detected:\n" + chain[0] + "\n include "
                           + "\n include ".join((*chain[1:], files[0])))
    given = entry.get("project_directory") or ""
    remote = paths.is_remote_file(named[0])
    if remote:
        relative = directory = paths.absolute(given, options.directory) if given else os.path.dirname(files[0])
    elif given:
        relative = given if os.path.isabs(given) else directory_of(given, options.directory)
        directory = paths.absolute(given, options.directory)
    else:
        relative = directory_of(files[0], options.directory)
        directory = os.path.dirname(files[0])
    environment = {**_environment(entry, directory, options, at), **options.environment}
    inner = options.inside(relative, directory, environment)
    return load_model(files, inner, chain)


def _local(item: str, options: LoadOptions, at: str) -> str:
    """The absolute path of an included file; a remote one is fetched."""
    if not paths.is_remote_file(item):
        if "://" in item:
            raise ComposeError(f"{at}: {item}: no such file, and no remote one that can be had: a git repository's URL "
                               "over http ends in .git, an artifact of a registry begins with oci://")
        return paths.absolute(item, options.directory)
    return fetched(item, at).file


def fetched(item: str, at: str) -> Remote:
    """A remote file brought here; its complaint begins with the place that names it."""
    from solva.compose.load.remote import fetch

    try:
        return fetch(item)
    except ComposeError as error:
        raise ComposeError(f"{at}: {error}") from None


def directory_of(path: str, base: str) -> str:
    """The directory of ``path`` (itself, if it is one), as seen from ``base``."""
    whole = paths.absolute(path, base)
    if not os.path.isdir(whole):
        whole = os.path.dirname(whole)
    return os.path.relpath(whole, base)


def _texts(value: Any, at: str) -> list[str]:
    items = [value] if isinstance(value, str) else value or []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ComposeError(f"{at}: a path must be a string or a list of strings")
    return items


def _environment(entry: dict[str, Any], directory: str, options: LoadOptions, at: str) -> dict[str, str]:
    files = [paths.absolute(item, options.directory) for item in _texts(entry.get("env_file"), at)]
    if not files:
        default = os.path.join(directory, ".env")
        files = [default] if os.path.isfile(default) else []
    values: dict[str, str] = {}
    for item in files:
        if item == "/dev/null":
            continue
        if os.path.isdir(item):
            raise ComposeError(f"{at}: {item} is not a file")
        if not os.path.isfile(item):
            raise ComposeError(f"{at}: couldn't find env file: {item}")
        values.update(dotenv.load(item, options.environment, values, options.warn))
    return values


def _import(target: dict[str, Any], imported: dict[str, Any], at: str) -> None:
    for section in _SECTIONS:
        entries = imported.get(section)
        if not entries:
            continue
        existing = target.get(section)
        if not isinstance(existing, dict):
            existing = target[section] = {}
        for name, entry in entries.items():
            if name in existing and existing[name] != entry:
                raise ComposeError(f"{at}: {section}.{name} conflicts with imported resource")
            existing[name] = entry
