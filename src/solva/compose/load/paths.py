"""Relative paths of a compose file, made absolute against the directory they are relative to."""

from __future__ import annotations

import os

from solva.compose.load.tree import rules, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.tree import Path

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")


def is_remote(context: str) -> bool:
    """Whether a build context is a URL rather than a directory."""
    return context.startswith(_REMOTE)


def is_remote_file(path: str) -> bool:
    """Whether a compose file that ``-f``, ``include`` or ``extends`` names is elsewhere (git, OCI)."""
    if ":" not in path and not path.startswith("github.com/"):
        return False
    from solva.compose.load.remote import is_remote as elsewhere

    return elsewhere(path)


def home(path: str) -> str:
    """``~`` as the user's home."""
    return os.path.normpath(os.path.expanduser("~") + "/" + path[1:]) if path[:1] == "~" else path


def absolute(path: str, base: str) -> str:
    """``path`` from ``base``; ``~`` is the user's home. An absolute path and an empty one stay as written."""
    path = home(path)
    return path if not path or os.path.isabs(path) else join(base, path)


def join(base: str, path: str) -> str:
    """Go's filepath.Join."""
    return os.path.normpath(f"{base}/{path}" if base else path)


def resolve(content: dict[str, Any], base: str) -> dict[str, Any]:
    """A file's content with its paths from ``base``, in place."""
    def local(value: Any, path: Path) -> Any:
        return absolute(value, base) if isinstance(value, str) else value

    def maybe_windows(value: Any, path: Path) -> Any:
        if not isinstance(value, str):
            return value
        value = home(value)
        return value if os.path.isabs(value) or _windows(value) else join(base, value)

    def context(value: Any, path: Path) -> Any:
        if not isinstance(value, str) or "://" in value or value.startswith("service:") or is_remote(value):
            return value
        return absolute(value, base)

    def extended(value: Any, path: Path) -> Any:
        return value if is_remote_file(value) else absolute(value, base)

    def watched(value: Any, path: Path) -> Any:
        return _followed(absolute(value, base))

    def mount(value: Any, path: Path) -> Any:
        if isinstance(value, dict) and value.get("type") == "bind":
            if "source" not in value:
                raise ValueError('invalid mount config for type "bind": field Source must not be empty')
            value["source"] = maybe_windows(value["source"], path)
        return value

    def volume(value: Any, path: Path) -> Any:
        options = value.get("driver_opts") if isinstance(value, dict) and value.get("driver") == "local" else None
        if isinstance(options, dict) and options.get("o") == "bind" and "device" in options:
            options["device"] = maybe_windows(options["device"], path)
        return value

    result: dict[str, Any] = walk(content, rules({
        "services.*.build.context": context,
        "services.*.build.additional_contexts.*": context,
        "services.*.build.ssh.*": maybe_windows,
        "services.*.env_file.*.path": local,
        "services.*.label_file.*": local,
        "services.*.extends.file": extended,
        "services.*.develop.watch.*.path": watched,
        "services.*.volumes.*": mount,
        "configs.*.file": maybe_windows,
        "secrets.*.file": maybe_windows,
        "volumes.*": volume,
    }))
    return result


def _windows(path: str) -> bool:
    return (len(path) > 2 and path[0].isalpha() and path[1] == ":" and path[2] in "\\/") or path.startswith("\\\\")


def _followed(path: str) -> str:
    """The first symbolic link of ``path`` replaced by what it points to."""
    current = "/" if path.startswith("/") else ""
    for part in path.split("/"):
        current = os.path.join(current, part) if part else current
        if part and os.path.islink(current):
            return path.replace(current, os.path.realpath(current, strict=True), 1)
    return path
