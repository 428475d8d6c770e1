"""What a load is told: files, directory, environment, and which steps to leave out."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def warn(message: str) -> None:
    """A warning as Compose's logger writes it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\x1b[33mWARN\x1b[0m[0000] {message}\n")
        return
    import time

    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    escaped = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    sys.stderr.write(f'time="{stamp}" level=warning msg="{escaped}"\n')


class LoadOptions:
    """Where and how to load. ``stdin`` reads ``-f -``."""

    __slots__ = ("consistency", "environment", "interpolate", "name", "normalize", "profiles", "resolve_environment",
                 "resolve_paths", "services", "warn", "working_dir")

    def __init__(self, working_dir: str, environment: Mapping[str, str], *, name: str = "",
                 profiles: tuple[str, ...] = (), interpolate: bool = True, normalize: bool = True,
                 resolve_paths: bool = True, consistency: bool = True, resolve_environment: bool = True,
                 warn: Callable[[str], None] = warn) -> None:
        self.working_dir = working_dir
        self.environment = environment
        self.name = name
        self.profiles = profiles
        self.interpolate = interpolate
        self.normalize = normalize
        self.resolve_paths = resolve_paths
        self.consistency = consistency
        self.resolve_environment = resolve_environment
        self.warn = warn

    def inside(self, working_dir: str, environment: Mapping[str, str]) -> LoadOptions:
        """The same for a file of another directory."""
        return LoadOptions(working_dir, environment, name=self.name, profiles=self.profiles,
                           interpolate=self.interpolate, normalize=self.normalize, resolve_paths=self.resolve_paths,
                           consistency=self.consistency, resolve_environment=self.resolve_environment, warn=self.warn)
