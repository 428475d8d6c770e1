"""What a load is told: files, directory, environment, and which steps to leave out."""

from __future__ import annotations

import sys

from solva.compose.load.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def warn(message: str) -> None:
    """A warning as Compose's logger writes it."""
    sys.stderr.write(warning(message) + "\n")


def warning(message: str) -> str:
    """Its line."""
    if sys.stderr.isatty():
        return f"\x1b[33mWARN\x1b[0m[0000] {message}"
    import time

    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    escaped = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'time="{stamp}" level=warning msg="{escaped}"'


class LoadOptions:
    """Where and how to load.

    ``directory``: absolute; files that ``include`` and ``extends`` name are looked up there. ``working_dir``: what
    relative paths are made to begin with: absolute for a project's own files, relative to the includer's for others.
    """

    __slots__ = ("consistency", "directory", "environment", "interpolate", "name", "normalize", "places", "profiles",
                 "resolve_environment", "resolve_paths", "warn", "working_dir")

    def __init__(self, working_dir: str, environment: Mapping[str, str], *, name: str = "",
                 profiles: tuple[str, ...] = (), interpolate: bool = True, normalize: bool = True,
                 resolve_paths: bool = True, consistency: bool = True, resolve_environment: bool = True,
                 warn: Callable[[str], None] = warn, directory: str = "", places: Places | None = None) -> None:
        self.working_dir = working_dir
        self.directory = directory or working_dir
        self.environment = environment
        self.name = name
        self.profiles = profiles
        self.interpolate = interpolate
        self.normalize = normalize
        self.resolve_paths = resolve_paths
        self.consistency = consistency
        self.resolve_environment = resolve_environment
        self.warn = warn
        self.places = places or Places()

    def inside(self, working_dir: str, directory: str, environment: Mapping[str, str]) -> LoadOptions:
        """The same for files of another directory."""
        return LoadOptions(working_dir, environment, name=self.name, profiles=self.profiles,
                           interpolate=self.interpolate, warn=self.warn, directory=directory,
                           places=Places(self.places))
