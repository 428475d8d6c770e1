"""The build cache between machines. An image carries it: a field of its configuration lists the steps (their keys) and
the layers each one stands on. Keys are made of contents, so they mean the same on every engine.

``type=inline``: the built image itself. ``type=registry``: an image of its own, with the layers of every stage
(``mode=max``) or of the result (``mode=min``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from solva.build.cache import CacheRecord, LayerCache
from solva.errors import InvalidParameter, NotFound, NotImplementedHere, SolvaError
from solva.snapshots.layers import LayerInfo

FIELD = "io.solva.build.cache"
VERSION = 1
Pull = Callable[[str], Any]


class Layers(Protocol):
    """What of the image store this needs."""

    def diffs(self, chain: str) -> list[str]: ...
    def adopt(self, diff_ids: Sequence[str]) -> tuple[str, ...] | None: ...


@dataclass(frozen=True, slots=True)
class CacheExport:
    """One ``--cache-to``."""

    kind: str
    ref: str = ""
    every: bool = False      # mode=max

    @classmethod
    def parse(cls, kind: str, attrs: Mapping[str, str]) -> CacheExport:
        """NotImplementedHere for a kind that is not done, InvalidParameter for one without a place."""
        if kind not in ("inline", "registry"):
            raise NotImplementedHere(f"cache export to {kind} is not supported: inline and registry are")
        if kind == "registry" and not attrs.get("ref"):
            raise InvalidParameter("registry cache exporter requires ref")
        mode = attrs.get("mode", "min")
        if mode not in ("min", "max"):
            raise InvalidParameter(f"invalid cache mode {mode!r}: min and max are known")
        return cls(kind, attrs.get("ref", ""), mode == "max")


def packed(layers: Layers, records: Iterable[CacheRecord]) -> str:
    """The records as the field's text."""
    rows = [{"key": record.key, "description": record.description, "diffs": layers.diffs(record.chain_id),
             "size": record.size} for record in records]
    return json.dumps({"version": VERSION, "steps": rows}, separators=(",", ":"))


def unpack(layers: Layers, cache: LayerCache, config: Mapping[str, Any]) -> int:
    """Take over what an image's configuration carries; the number of steps. What is malformed is passed over: a cache
    is a help, nothing more."""
    labels = (config.get("config") or {}).get("Labels") or {}
    text = config.get(FIELD) or labels.get(FIELD) or ""
    try:
        body = json.loads(text) if text else {}
        rows = body["steps"] if body.get("version") == VERSION else []
    except (ValueError, KeyError, AttributeError, TypeError):
        return 0
    taken = 0
    for row in rows if isinstance(rows, list) else ():
        try:
            key, description, size = str(row["key"]), str(row["description"]), int(row["size"])
            diffs = list(row["diffs"])
        except (KeyError, TypeError, ValueError):
            continue
        chain = layers.adopt([str(diff) for diff in diffs]) if len(key) == 64 and diffs else None
        if chain is None or cache.find(key) is not None:
            continue
        parent = chain[-2] if len(chain) > 1 else ""
        cache.put(key, description, parent, LayerInfo(chain[-1], str(diffs[-1]), size))
        taken += 1
    return taken


async def take_from(ref: str, images: Any, cache: LayerCache, pull: Pull, warn: Callable[[str], None]) -> None:
    """``--cache-from``: the image, a local one or a pulled one, and what it carries."""
    try:
        try:
            record = images.resolve(ref)
        except NotFound:
            record = await pull(ref)
    except SolvaError as error:
        warn(f"cache-from {ref}: {error}")
        return
    if not unpack(images, cache, record.config):
        warn(f"cache-from {ref} carries no cache of this engine's (made by --cache-to type=inline or type=registry)")


def union(layers: Layers, records: Iterable[CacheRecord]) -> list[str]:
    """Every layer that the records stand on, once."""
    found: dict[str, None] = {}
    for record in records:
        found.update(dict.fromkeys(layers.diffs(record.chain_id)))
    return list(found)
