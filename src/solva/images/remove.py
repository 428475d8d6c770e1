"""Removing images: Docker's rules of names, children and containers, and its conflict texts."""

import asyncio
from collections.abc import Callable
from typing import Any

from solva import faults
from solva.errors import Conflict, SolvaError
from solva.events.bus import EventBus
from solva.ids import short
from solva.images.describe import Lister, flag
from solva.images.store import ImageStore
from solva.kernel import files
from solva.registry.reference import Reference
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerStore
from solva.snapshots.overlay import Snapshotter

Rows = list[dict[str, Any]]
InUse = Callable[[str], list[str]]


class Remover:
    """``in_use``/``running``: containers, and those that run, of an image id."""

    def __init__(
        self, images: ImageStore, content: ContentStore, layers: LayerStore, snapshots: Snapshotter, bus: EventBus,
        in_use: InUse, running: InUse,
    ) -> None:
        self._images = images
        self._content = content
        self._layers = layers
        self._snapshots = snapshots
        self._bus = bus
        self._in_use = in_use
        self._running = running

    async def remove(self, ref: str, *, force: bool, prune: bool) -> Rows:
        """What was untagged and deleted. Conflict, NotFound."""
        image_id, reference = self._images.find(ref)
        references = self._images.references(image_id)
        rows: Rows = []
        if reference is not None:
            others = [other for other in references if other != reference]
            last = not [other for other in others if other.name != reference.name or other.tag]
            if last and not force:
                self._check_containers_of_name(ref, image_id)
            self._untag(reference, image_id, rows)
            if last:
                for other in others:      # only digests of the same repository are left
                    self._untag(other, image_id, rows)
            if self._images.references(image_id):
                return rows
            if force and self._running(image_id):
                return rows               # stays, nameless, while a container runs on it
        else:
            if len({other.name for other in references}) > 1 and not force:
                raise _conflict(image_id, "must be forced", "image is referenced in multiple repositories")
            self._check(image_id, force)
            for other in references:
                self._untag(other, image_id, rows)
        if reference is not None:
            try:
                self._check(image_id, force)
            except Conflict:
                return rows
        await self._delete(image_id, rows, prune)
        return rows

    def _check_containers_of_name(self, ref: str, image_id: str) -> None:
        for container in self._in_use(image_id)[:1]:
            raise Conflict(f'conflict: unable to remove repository reference "{ref}" (must force) - container '
                           f"{short(container)} is using its referenced image {short(image_id)}")

    def _check(self, image_id: str, force: bool) -> None:
        if self._images.children(image_id):
            raise _conflict(image_id, "cannot be forced", "image has dependent child images")
        for container in self._running(image_id)[:1]:
            raise _conflict(
                image_id, "cannot be forced", f"image is being used by running container {short(container)}")
        if not force:
            for container in self._in_use(image_id)[:1]:
                raise _conflict(
                    image_id, "must be forced", f"image is being used by stopped container {short(container)}")

    def _untag(self, reference: Reference, image_id: str, rows: Rows) -> None:
        self._images.unname(reference)
        rows.append({"Untagged": reference.familiar})
        self.event("untag", image_id, image_id)

    def event(self, action: str, image_id: str, name: str) -> None:
        """An event of an image, with its labels."""
        labels = (self._images.config(image_id).get("config") or {}).get("Labels") or {}
        self._bus.publish("image", action, image_id, {**labels, "name": name})

    async def _delete(self, image_id: str, rows: Rows, prune: bool) -> int:
        freed = 0
        while image_id:
            parent = self._images.stored(image_id).parent
            self.event("delete", image_id, image_id)
            self._images.delete(image_id)
            faults.point("image remove: forgotten")
            self._content.delete(image_id)
            rows.append({"Deleted": image_id})
            chains, count = await self.collect()
            freed += count
            rows.extend({"Deleted": chain} for chain in reversed(chains))
            wanted = prune and self._images.has(parent) and not self._images.references(parent) \
                and not self._images.children(parent) and not self._in_use(parent)
            image_id = parent if wanted else ""
        return freed

    async def collect(self) -> tuple[list[str], int]:
        """Drop layers and layer files that nothing needs: their chain ids, and Docker's count of freed bytes."""
        chains, diffs = self._layers.unused()
        if not chains and not diffs:
            return [], 0
        doomed = self._layers.forget(chains, diffs)
        for diff in diffs:
            if diff.blob not in self._layers.blobs():
                self._content.delete(diff.blob)
        await self._snapshots.drop_init(chains)
        for directory in doomed:
            await asyncio.to_thread(files.remove_tree, directory)
        return chains, sum(diff.size for diff in diffs)

    async def prune(self, lister: Lister, filters: dict[str, list[str]]) -> tuple[Rows, int]:
        """Images without a name (``dangling=false``: all) that no container uses."""
        everything = flag(filters, "dangling") is False
        rest = {key: value for key, value in filters.items() if key != "dangling"}
        rows: Rows = []
        freed = 0
        for record in lister.selected(rest):
            if self._in_use(record.id) or not self._images.has(record.id):
                continue
            if (record.repo_tags and not everything) or self._images.children(record.id):
                continue
            try:
                for reference in self._images.references(record.id):
                    self._untag(reference, record.id, rows)
                freed += await self._delete(record.id, rows, prune=True)
            except SolvaError:
                continue      # a container took it meanwhile
        used = self._layers.blobs() | set(self._images.ids())
        await asyncio.to_thread(self._content.clean, used)
        return rows, freed


def _conflict(image_id: str, force: str, reason: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {short(image_id)} ({force}) - {reason}")
