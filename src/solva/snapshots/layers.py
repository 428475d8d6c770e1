"""Unpacked layers: one directory a diff id, shared by every chain that contains it.

``data/snapshots/layers/<n>/fs`` with a small number, so that an overlay of 127 of them fits the kernel's option page.
Records: kind ``diff`` (diff id -> directory, sizes, blob) and kind ``layer`` (chain id -> diff id, parent chain).
Order on adding: directory, then record; on removing: record, then directory. So after a crash a record is never
without its directory, and ``start`` removes directories without a record.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from solva import faults
from solva.kernel import files
from solva.store.sqlite import Store

DIFF_KIND = "diff"
LAYER_KIND = "layer"
FRESH_SECONDS = 3600.0


class Diff(msgspec.Struct, frozen=True):
    """One unpacked layer. ``blob`` is the digest of the stored layer file (as it was pulled, or ours)."""

    diff_id: str
    number: int
    size: int               # sum of its files' sizes
    blob: str
    blob_size: int
    media_type: str


class Layer(msgspec.Struct, frozen=True):
    """A diff on top of a chain."""

    chain_id: str
    diff_id: str
    parent: str             # chain id below, or ""


class LayerInfo(msgspec.Struct, frozen=True):
    """What ``Snapshotter.commit`` returns."""

    chain_id: str
    diff_id: str
    size: int


def chain_id(parent: str, diff_id: str) -> str:
    """OCI's ChainID: identifies a diff together with all that is below."""
    if not parent:
        return diff_id
    return "sha256:" + hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest()


def chain_of(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Chain ids for diff ids, bottom first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(chain_id(chain[-1] if chain else "", diff_id))
    return tuple(chain)


class LayerStore:
    """Registry of unpacked layers. Synchronous and short, but ``start`` (removes trees): call that in a thread."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root / "layers"
        self._trash = root / "tmp"
        self._store = store
        for directory in (self.root, self._trash):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._leases: dict[str, int] = {}
        self._fresh: dict[str, float] = {}
        self._holders: list[Callable[[], Iterable[str]]] = []
        self._diffs = {diff.diff_id: diff for diff in store.all(DIFF_KIND, Diff)}
        self._layers = {layer.chain_id: layer for layer in store.all(LAYER_KIND, Layer)}
        self._next = 1 + max((int(name) for name in os.listdir(self.root) if name.isdigit()), default=0)

    def start(self) -> None:
        """Remove what a killed engine left: unfinished layers and directories without a record."""
        known = {str(diff.number) for diff in self._diffs.values()}
        for name in os.listdir(self._trash):
            files.remove_tree(self._trash / name)
        for name in os.listdir(self.root):
            if name.isdigit() and name not in known:
                files.remove_tree(self.root / name)

    def scratch(self) -> Path:
        """A new directory to unpack into, on the same filesystem as the layers."""
        directory = self._trash / secrets.token_hex(8)
        (directory / "fs").mkdir(parents=True)
        return directory

    def diff(self, diff_id: str) -> Diff | None:
        return self._diffs.get(diff_id)

    def diff_of_blob(self, blob: str) -> Diff | None:
        """A layer that was unpacked from this blob."""
        return next((diff for diff in self._diffs.values() if diff.blob == blob), None)

    def layer(self, chain: str) -> Layer | None:
        return self._layers.get(chain)

    def chains(self) -> list[str]:
        """Every chain id."""
        return list(self._layers)

    def relative(self, chain: str) -> str:
        """The layer's directory from ``root``'s parent: ``layers/<n>/fs``."""
        return f"layers/{self._diffs[self._layers[chain].diff_id].number}/fs"

    def path(self, chain: str) -> Path:
        return self.root.parent / self.relative(chain)

    def size(self, chain: str) -> int:
        """Docker's size of the one layer."""
        return self._diffs[self._layers[chain].diff_id].size

    def total(self) -> int:
        """Bytes of all unpacked layers, shared ones once."""
        return sum(diff.size for diff in self._diffs.values())

    def blob(self, chain: str) -> Diff:
        return self._diffs[self._layers[chain].diff_id]

    def blobs(self) -> set[str]:
        """Digests of layer files in use."""
        return {diff.blob for diff in self._diffs.values()}

    def add_diff(self, scratch: Path, diff_id: str, size: int, blob: str, blob_size: int, media_type: str) -> Diff:
        """The scratch directory becomes the layer's; the one that is there stays when the diff is known already."""
        known = self._diffs.get(diff_id)
        if known is not None:
            files.remove_tree(scratch)
            return known
        number, self._next = self._next, self._next + 1
        os.rename(scratch, self.root / str(number))
        faults.point("layer: placed")
        diff = Diff(diff_id, number, size, blob, blob_size, media_type)
        self._store.put(DIFF_KIND, diff_id, diff)
        self._diffs[diff_id] = diff
        return diff

    def add_chain(self, diff_ids: Iterable[str]) -> tuple[str, ...]:
        """Records of a whole chain whose diffs are all there."""
        parent = ""
        chain: list[str] = []
        with self._store.transaction():
            for diff_id in diff_ids:
                here = chain_id(parent, diff_id)
                if here not in self._layers:
                    layer = Layer(here, diff_id, parent)
                    self._store.put(LAYER_KIND, here, layer)
                    self._layers[here] = layer
                chain.append(here)
                parent = here
        return tuple(chain)

    @contextmanager
    def lease(self, diff_ids: Iterable[str]) -> Iterator[None]:
        """While it lasts these diffs are not collected, though no image may use them yet."""
        held = list(diff_ids)
        for diff_id in held:
            self._leases[diff_id] = self._leases.get(diff_id, 0) + 1
        try:
            yield
        finally:
            for diff_id in held:
                self._leases[diff_id] -= 1
                if not self._leases[diff_id]:
                    del self._leases[diff_id]

    def hold(self, holder: Callable[[], Iterable[str]]) -> None:
        """``holder`` says which chain ids it needs (images, snapshots, the build cache); asked at each collection."""
        self._holders.append(holder)

    def keep_awhile(self, chain: str) -> None:
        """A new layer that nobody names yet is not collected for an hour (nor after a restart kept)."""
        self._fresh[chain] = time.monotonic()

    def settle(self, chain: str) -> None:
        """Somebody names it now: from here on it lives as long as a holder wants it."""
        self._fresh.pop(chain, None)

    def unused(self) -> tuple[list[str], list[Diff]]:
        """Chains that no holder names (parents of a named one count as named), and the diffs only they have."""
        named = {chain for holder in self._holders for chain in holder()}
        named |= {chain for chain, layer in self._layers.items() if layer.diff_id in self._leases}
        limit = time.monotonic() - FRESH_SECONDS
        self._fresh = {chain: since for chain, since in self._fresh.items() if since > limit}
        named |= set(self._fresh)
        used = set(named)
        for chain in named:
            layer = self._layers.get(chain)
            while layer is not None and layer.parent and layer.parent not in used:
                used.add(layer.parent)
                layer = self._layers.get(layer.parent)
        chains = [chain for chain in self._layers if chain not in used]
        kept = {self._layers[chain].diff_id for chain in used if chain in self._layers} | set(self._leases)
        return chains, [diff for diff_id, diff in self._diffs.items() if diff_id not in kept]

    def forget(self, chains: list[str], diffs: list[Diff]) -> list[Path]:
        """Drop records, at once; what is returned is to be removed from the disk."""
        with self._store.transaction():
            for chain in chains:
                self._store.delete(LAYER_KIND, chain)
            for diff in diffs:
                self._store.delete(DIFF_KIND, diff.diff_id)
        for chain in chains:
            del self._layers[chain]
        faults.point("layer: forgotten")
        doomed = []
        for diff in diffs:
            del self._diffs[diff.diff_id]
            target = self._trash / secrets.token_hex(8)
            os.rename(self.root / str(diff.number), target)
            doomed.append(target)
        return doomed
