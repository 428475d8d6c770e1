"""Relative paths of a compose file, made absolute against the directory they are relative to."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/", "oci://")


def is_remote(context: str) -> bool:
    """Whether a build context is a URL rather than a directory."""
    return context.startswith(_REMOTE) or (context.startswith("git") and "@" in context.split("/")[0])


def absolute(path: str, base: str) -> str:
    """``path`` from ``base``; ``~`` is the user's home."""
    if path[:1] == "~" and path[1:2] in ("", "/"):
        path = os.path.expanduser("~") + path[1:]
    return os.path.normpath(os.path.join(base, path))


def resolve(content: dict[str, Any], base: str) -> dict[str, Any]:
    """A file's content with absolute paths."""
    result = dict(content)
    if result.get("services"):
        result["services"] = {name: service(entry, base) if entry else entry
                              for name, entry in result["services"].items()}
    for section in ("secrets", "configs"):
        if result.get(section):
            result[section] = {
                name: {**entry, "file": absolute(entry["file"], base)} if entry and entry.get("file") else entry
                for name, entry in result[section].items()}
    if result.get("volumes"):
        result["volumes"] = {name: _volume(entry, base) for name, entry in result["volumes"].items()}
    return result


def service(entry: dict[str, Any], base: str) -> dict[str, Any]:
    """One service with absolute paths."""
    result = dict(entry)
    for name, function in _PARTS.items():
        if result.get(name):
            result[name] = function(result[name], base)
    return result


def _build(value: dict[str, Any], base: str) -> dict[str, Any]:
    result = dict(value)
    context = result.get("context")
    if context is not None and not is_remote(context):
        result["context"] = absolute(context, base)
    contexts = result.get("additional_contexts")
    if contexts:
        result["additional_contexts"] = {
            name: item if "://" in item or item.startswith("service:") or is_remote(item) else absolute(item, base)
            for name, item in contexts.items()}
    return result


def _env_file(value: list[dict[str, Any]], base: str) -> list[dict[str, Any]]:
    return [{**item, "path": absolute(item["path"], base)} for item in value]


def _texts(value: list[str], base: str) -> list[str]:
    return [absolute(item, base) for item in value]


def _volumes(value: list[dict[str, Any]], base: str) -> list[dict[str, Any]]:
    return [{**item, "source": absolute(item["source"], base)}
            if item.get("type") == "bind" and item.get("source") else item for item in value]


def _develop(value: dict[str, Any], base: str) -> dict[str, Any]:
    return {**value, "watch": [{**item, "path": absolute(item["path"], base)} for item in value.get("watch") or ()]}


def _extends(value: dict[str, Any], base: str) -> dict[str, Any]:
    return {**value, "file": absolute(value["file"], base)} if value.get("file") else value


def _volume(entry: Any, base: str) -> Any:
    options = (entry or {}).get("driver_opts") or {}
    if (entry or {}).get("driver") == "local" and options.get("o") == "bind" and options.get("device"):
        return {**entry, "driver_opts": {**options, "device": absolute(options["device"], base)}}
    return entry


_PARTS: dict[str, Callable[[Any, str], Any]] = {
    "build": _build, "env_file": _env_file, "label_file": _texts, "volumes": _volumes, "develop": _develop,
    "extends": _extends,
}
