"""The image service: what routes, containers and builds call. The work is done in a file a verb."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from solva.clock import Clock
from solva.errors import InvalidParameter, NotImplementedHere, SystemFailure
from solva.events.bus import EventBus
from solva.images.archive import Archiver
from solva.images.describe import Lister, history, inspect
from solva.images.load import Loader
from solva.images.model import ImageRecord, diff_ids
from solva.images.progress import Progress
from solva.images.pull import Puller
from solva.images.push import Pusher
from solva.images.remove import Remover
from solva.images.store import ImageStore
from solva.kernel.files import disk_full
from solva.registry import auth as credentials
from solva.registry.auth import RegistryAuth
from solva.registry.config import RegistryConfig
from solva.registry.http import HttpClient
from solva.registry.manifest import DOCKER_LIST, OCI_INDEX, decode, media_type_of
from solva.registry.reference import Reference, parse
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerInfo, LayerStore
from solva.snapshots.overlay import Snapshotter
from solva.store.sqlite import Store

Json = dict[str, Any]
Filters = dict[str, list[str]]
Rows = list[Json]
Names = list[str]


def _nobody(_: str) -> list[str]:
    return []


class ImageService:
    """One an engine. ``in_use`` and ``running`` (containers of an image id, all and running) are given by the engine;
    ``apply_changes`` (configuration, Dockerfile lines -> configuration) by the build package."""

    def __init__(
        self, store: Store, bus: EventBus, clock: Clock, content: ContentStore, layers: LayerStore,
        snapshots: Snapshotter, registries: RegistryConfig,
    ) -> None:
        self.in_use: Callable[[str], list[str]] = _nobody
        self.running: Callable[[str], list[str]] = _nobody
        self.apply_changes: Callable[[Json, list[str]], Json] | None = None
        self._registries = registries
        self._content = content
        self._layers = layers
        self._bus = bus
        self.store = ImageStore(store, content, layers, clock)
        self._puller = Puller(self.store, content, layers, bus, registries)
        self._pusher = Pusher(self.store, content, layers, bus, registries)
        self._archiver = Archiver(self.store, content, layers)
        self._loader = Loader(self.store, content, layers, clock)
        self._lister = Lister(self.store, layers, self._users)
        self._remover = Remover(self.store, content, layers, snapshots, bus, self._users, self._runners)

    def _users(self, image_id: str) -> Names:
        return self.in_use(image_id)      # set by the engine after construction

    def _runners(self, image_id: str) -> Names:
        return self.running(image_id)

    async def start(self) -> None:
        """After all holders of layers are known (``layers.hold``): drop what a killed engine left behind."""
        await self._remover.collect()
        used = self._layers.blobs() | set(self.store.ids())
        await asyncio.to_thread(self._content.clean, used)

    # -- reading

    def resolve(self, ref: str) -> ImageRecord:
        """NotFound ``No such image: X``."""
        return self.store.record(self.store.find(ref)[0])

    async def list(
        self, filters: Filters, *, all: bool = False, shared_size: bool = False, digests: bool = False
    ) -> Rows:
        """Rows of GET /images/json; ``digests`` changes nothing since API 1.43: they are always there."""
        return self._lister.rows(filters, all_=all, shared_size=shared_size)

    async def inspect(self, ref: str) -> Json:
        return inspect(self.resolve(ref), self._layers)

    def history(self, ref: str) -> Rows:
        return history(self.resolve(ref), self._layers)

    # -- registries

    async def pull(
        self, ref: str, *, platform: str = "", auth: RegistryAuth | None = None, progress: Progress
    ) -> ImageRecord:
        """``latest`` where no tag is given. Without ``auth``, Docker's own configuration file is asked."""
        reference = parse(ref).with_default_tag()
        if reference.digest:
            reference = reference.with_digest(reference.digest)
        found = auth or await credentials.from_file(reference.domain)
        try:
            return self.store.record(await self._puller.pull(reference, platform, found, progress))
        except SystemFailure as error:
            if disk_full(error):
                await self._remover.collect()      # its layers that did come fill the disk for nothing
            raise

    async def pull_request(
        self, ref: str, *, every_tag: bool, platform: str, auth: Json | None, progress: Progress
    ) -> None:
        """POST /images/create?fromImage. ``every_tag``: all tags of a repository, as the API means an empty tag."""
        given = credentials.from_wire(auth) if auth else None
        if not every_tag:
            await self.pull(ref, platform=platform, auth=given, progress=progress)
            return
        reference = parse(ref)
        found = given or await credentials.from_file(reference.domain)
        for tag in await self._puller.tags(reference, found):
            await self._puller.pull(reference.tagged(tag), platform, found, progress)

    async def push(self, name: str, *, tag: str, platform: str, auth: Json | None, progress: Progress) -> None:
        """Push one tag, or every tag of the repository when none is given."""
        if platform:
            raise NotImplementedHere("push: choosing a platform needs a multi-platform image, which this store has not")
        reference = parse(name)
        given = credentials.from_wire(auth) if auth else await credentials.from_file(reference.domain)
        await self._pusher.push(reference.tagged(tag) if tag else reference, given, progress)

    async def distribution(self, ref: str, auth: Json | None) -> Json:
        """GET /distribution/{name}/json: what the registry has under this name."""
        reference = parse(ref).with_default_tag()
        given = credentials.from_wire(auth) if auth else await credentials.from_file(reference.domain)
        async with HttpClient() as client:
            _, raw = await self._puller.find(client, reference, given)
        body = decode(raw.data)
        kind = media_type_of(body, raw.content_type)
        platforms = [entry.get("platform") or {} for entry in body.get("manifests") or []] \
            if kind in (DOCKER_LIST, OCI_INDEX) else []
        return {"Descriptor": {"mediaType": kind, "digest": raw.digest, "size": len(raw.data)}, "Platforms": platforms}

    async def search(self, term: str, limit: int, filters: Filters) -> Rows:
        from solva.registry.search import search

        return await search(term, limit, filters, self._registries)

    # -- changing

    async def tag(self, ref: str, repo: str, tag: str) -> None:
        reference = parse(repo)
        if reference.digest:
            raise InvalidParameter("refusing to create a tag with a digest reference")
        self.add_tag(self.store.find(ref)[0], reference.tagged(tag) if tag else reference.with_default_tag())

    def add_tag(self, image_id: str, reference: Reference) -> None:
        """Name an image, with Docker's event."""
        self.store.name(reference, image_id, touch=True)
        self._remover.event("tag", image_id, reference.familiar)

    async def remove(self, ref: str, *, force: bool = False, prune: bool = True) -> Rows:
        return await self._remover.remove(ref, force=force, prune=prune)

    async def prune(self, filters: Filters) -> tuple[Rows, int]:
        return await self._remover.prune(self._lister, filters)

    async def collect(self) -> tuple[Names, int]:
        """Drop layers that no holder names any more (after a prune of the build cache): chain ids, bytes freed."""
        return await self._remover.collect()

    async def create(
        self, config: Json, layers: Sequence[LayerInfo], parent: str, tags: Sequence[str]
    ) -> ImageRecord:
        """Build and commit: an image of ``config``. Where it has no ``rootfs``, that is the parent's and ``layers``."""
        if not diff_ids(config) and (layers or parent):
            below = diff_ids(self.store.config(self.store.find(parent)[0])) if parent else []
            config = {**config, "rootfs": {"type": "layers", "diff_ids": [*below, *(row.diff_id for row in layers)]}}
        for diff_id in diff_ids(config):
            if self._layers.diff(diff_id) is None:
                raise InvalidParameter(f"layer {diff_id} does not exist")
        references = [parse(tag).with_default_tag() for tag in tags]
        image_id = self.store.add(msgspec.json.encode(config), parent=self.store.find(parent)[0] if parent else "")
        for reference in references:
            self.add_tag(image_id, reference)
        return self.store.record(image_id)

    def diffs(self, chain: str) -> Names:
        """The diff ids of a chain of layers, bottom first."""
        found: Names = []
        layer = self._layers.layer(chain)
        while layer is not None:
            found.append(layer.diff_id)
            layer = self._layers.layer(layer.parent) if layer.parent else None
        return found[::-1]

    def adopt(self, diff_ids: Sequence[str]) -> tuple[str, ...] | None:
        """A chain of layers that are there all the same, for who keeps it (``layers.hold``); None when one is not."""
        if not diff_ids or any(self._layers.diff(diff_id) is None for diff_id in diff_ids):
            return None
        return self._layers.add_chain(diff_ids)

    # -- archives

    async def save(self, refs: Names) -> AsyncIterator[bytes]:
        """A docker archive that is an OCI layout too."""
        for ref in refs:
            if "@" not in ref and ":" not in ref.rpartition("/")[2] and any(
                    name.name == parse(ref).name for name in self._names()):
                continue      # a repository: all its tags
            self.store.find(ref)
        async for piece in self._archiver.stream(refs):
            yield piece

    def _names(self) -> set[Reference]:
        return {name for image_id in self.store.ids() for name in self.store.references(image_id)}

    async def load(self, data: AsyncIterator[bytes], *, progress: Progress, quiet: bool) -> None:
        async for image_id, names in self._loader.load(data, progress, quiet):
            for name in names:
                self.store.name(name, image_id)      # as Docker: neither a tag event nor a tag time
                progress({"stream": f"Loaded image: {name.familiar}\n"})
            if not names:
                progress({"stream": f"Loaded image ID: {image_id}\n"})
            self._remover.event("load", image_id, image_id)

    async def import_(
        self, source: str, data: AsyncIterator[bytes], *, repo: str, tag: str, message: str, changes: Names,
        platform: str, progress: Progress,
    ) -> None:
        """A root filesystem's tar becomes an image of one layer."""
        apply = self.apply_changes
        if changes and apply is None:
            raise NotImplementedHere("import: --change needs the build package")
        reference = None
        if repo:
            reference = parse(repo)
            reference = reference.tagged(tag) if tag else reference.with_default_tag()
        config: Json = apply({}, changes) if apply is not None else {}
        image_id = await self._loader.import_tar(source, data, message, config, platform, progress)
        if reference is not None:
            self.add_tag(image_id, reference)
        self._remover.event("import", image_id, image_id)
        progress({"status": image_id})
