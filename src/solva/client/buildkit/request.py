"""What is asked of a BuildKit: values, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol


class Readable(Protocol):
    """An open file, or what reads like one."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes. ``kind``: moby (the engine's own images), local, tar, oci, docker, or "" for nowhere.
    ``folder`` of a local one; ``open`` gives the file of an archive."""

    kind: str
    attrs: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    open: Callable[[], BinaryIO] | None = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """``options``: those of the frontend (``build-arg:X``, ``target``, …). ``folders``: directories by the names under
    which the engine asks for them (``context``, ``dockerfile``, names of other contexts). ``archive``: the context as
    one stream. ``secrets``: content by id. ``agents``: sockets of ssh agents by id. ``credentials``: user and password
    for a registry's host, None without."""

    options: Mapping[str, str]
    folders: Mapping[str, str] = field(default_factory=dict)
    archive: Readable | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)
    credentials: Callable[[str], tuple[str, str] | None] = lambda host: None
    outputs: tuple[Output, ...] = ()
    cache_from: tuple[tuple[str, Mapping[str, str]], ...] = ()
    cache_to: tuple[tuple[str, Mapping[str, str]], ...] = ()
    entitlements: tuple[str, ...] = ()
    shared_key: str = ""
