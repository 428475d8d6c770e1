"""The layer cache. A step's key is made of the chain below it and of all that its result depends on, so equal steps
of different Dockerfiles share a layer, and nothing has to be run to find out that nothing changed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec

from solva.clock import Clock
from solva.snapshots.layers import LayerInfo
from solva.store.sqlite import Store

LAYER_KIND = "build.layer"
SOURCE_KIND = "build.source"


class CacheRecord(msgspec.Struct, kw_only=True):
    """One cached layer. Times in nanoseconds since the epoch."""

    key: str
    description: str
    parent: str         # chain id below, "" for none
    chain_id: str
    diff_id: str
    size: int
    created: int
    used: int
    count: int = 0

    def layer(self) -> LayerInfo:
        return LayerInfo(self.chain_id, self.diff_id, self.size)


class SourceDigest(msgspec.Struct, frozen=True):
    """What a COPY from a chain of layers came to: chains never change, so it need be read once."""

    key: str
    digest: str


def key_of(chain: tuple[str, ...], *inputs: str) -> str:
    """The key of a step on top of ``chain``."""
    total = hashlib.sha256((chain[-1] if chain else "scratch").encode())
    for text in inputs:
        data = text.encode("utf-8", "surrogateescape")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


class LayerCache:
    """Records in the store; ``has_layer`` tells whether a chain id's layer is still there."""

    def __init__(self, store: Store, has_layer: Callable[[str], bool], clock: Clock) -> None:
        self._store = store
        self._has_layer = has_layer
        self._clock = clock
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncIterator[None]:
        """One at a time for a key: a second build of the same step waits and finds the first one's layer."""
        lock, holders = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, holders + 1)
        try:
            async with lock:
                yield
        finally:
            lock, holders = self._locks[key]
            if holders == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, holders - 1)

    def find(self, key: str) -> CacheRecord | None:
        """The record of a step, if its layer still exists; it counts as a use."""
        record = self._store.get(LAYER_KIND, key, CacheRecord)
        if record is None:
            return None
        if not self._has_layer(record.chain_id):
            self._store.delete(LAYER_KIND, key)
            return None
        record.used = self._clock.time_ns()
        record.count += 1
        self._store.put(LAYER_KIND, key, record)
        return record

    def put(self, key: str, description: str, parent: str, layer: LayerInfo) -> CacheRecord:
        now = self._clock.time_ns()
        record = CacheRecord(key=key, description=description[:500], parent=parent, chain_id=layer.chain_id,
                             diff_id=layer.diff_id, size=layer.size, created=now, used=now)
        self._store.put(LAYER_KIND, key, record)
        return record

    def source(self, key: str) -> str | None:
        """The remembered digest of a COPY's source."""
        found = self._store.get(SOURCE_KIND, key, SourceDigest)
        return found.digest if found else None

    def put_source(self, key: str, digest: str) -> None:
        self._store.put(SOURCE_KIND, key, SourceDigest(key, digest))

    def records(self) -> list[CacheRecord]:
        return self._store.all(LAYER_KIND, CacheRecord)

    def chains(self) -> set[str]:
        """Chain ids that the cache keeps alive."""
        return {record.chain_id for record in self.records()}

    def remove(self, records: Iterable[CacheRecord]) -> None:
        with self._store.transaction():
            for record in records:
                self._store.delete(LAYER_KIND, record.key)

    def forget_sources(self) -> None:
        """Drop all remembered source digests (they are cheap to make again)."""
        with self._store.transaction():
            for item in self._store.all(SOURCE_KIND, SourceDigest):
                self._store.delete(SOURCE_KIND, item.key)
