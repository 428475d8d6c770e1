"""Which images there are and what their names are: in memory, every change written through to the store."""

import re
from collections import OrderedDict
from typing import Any

import msgspec

from solva import faults
from solva.clock import Clock
from solva.errors import NotFound
from solva.images.model import (
    IMAGE_KIND,
    REFERENCE_KIND,
    ImageRecord,
    StoredImage,
    StoredReference,
    diff_ids,
)
from solva.registry.reference import Reference, parse
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerStore, chain_of
from solva.store.sqlite import Store

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")
_CACHED = 32


class ImageStore:
    """Synchronous and short. Only whole images are in it: configuration blob and all layers are there."""

    def __init__(self, store: Store, content: ContentStore, layers: LayerStore, clock: Clock) -> None:
        self._store = store
        self._content = content
        self._layers = layers
        self._clock = clock
        self._images = {image.id: image for image in store.all(IMAGE_KIND, StoredImage)}
        self._references = {item.reference: item.image_id for item in store.all(REFERENCE_KIND, StoredReference)
                            if item.image_id in self._images}
        self._configs: OrderedDict[str, dict[str, Any]] = OrderedDict()
        layers.hold(self.chains)

    # -- reading

    def ids(self) -> list[str]:
        return list(self._images)

    def has(self, image_id: str) -> bool:
        return image_id in self._images

    def stored(self, image_id: str) -> StoredImage:
        return self._images[image_id]

    def config(self, image_id: str) -> dict[str, Any]:
        """The OCI image configuration; do not change it."""
        config = self._configs.get(image_id)
        if config is None:
            config = msgspec.json.decode(self._content.read(image_id), type=dict[str, Any])
            self._configs[image_id] = config
            if len(self._configs) > _CACHED:
                self._configs.popitem(last=False)
        else:
            self._configs.move_to_end(image_id)
        return config

    def chain(self, image_id: str) -> tuple[str, ...]:
        return chain_of(diff_ids(self.config(image_id)))

    def chains(self) -> set[str]:
        """Every chain an image stands on."""
        return {chain for image_id in self._images for chain in self.chain(image_id)[-1:]}

    def references(self, image_id: str) -> list[Reference]:
        """Names of an image, sorted."""
        return [parse(text) for text, named in sorted(self._references.items()) if named == image_id]

    def named(self, reference: Reference) -> str | None:
        """The id that exactly this reference (with tag or digest) names."""
        return self._references.get(str(reference.with_digest(reference.digest) if reference.digest else reference))

    def children(self, image_id: str) -> list[str]:
        return [image.id for image in self._images.values() if image.parent == image_id]

    def record(self, image_id: str) -> ImageRecord:
        """Everything about one image."""
        config = self.config(image_id)
        chain = chain_of(diff_ids(config))
        references = self.references(image_id)
        stored = self._images[image_id]
        return ImageRecord(
            image_id, config, chain,
            tuple(reference.familiar for reference in references if not reference.digest),
            tuple(reference.familiar for reference in references if reference.digest),
            sum(self._layers.size(link) for link in chain), config.get("created") or "",
            stored.parent if stored.parent in self._images else "", stored.last_tag)

    def find(self, ref: str) -> tuple[str, Reference | None]:
        """The id for a name, digest, id or prefix of one, and the reference when it was a name. NotFound."""
        match = _ID.match(ref)
        if match and (len(match[1]) == 64 or ref.startswith("sha256:")):
            return self._by_prefix(match[1], ref), None
        reference = parse(ref).with_default_tag()
        image_id = self.named(reference)
        if image_id is not None:
            return image_id, reference
        if match:
            return self._by_prefix(match[1], reference.familiar), None
        raise NotFound(f"No such image: {reference.familiar}")

    def _by_prefix(self, prefix: str, shown: str) -> str:
        found = [image_id for image_id in self._images if image_id.startswith(prefix, 7)]
        if len(found) != 1:
            raise NotFound(f"No such image: {shown}")
        return found[0]

    # -- changing

    def add(self, data: bytes, *, parent: str = "", oci: bool = False) -> str:
        """Register an image whose layers are all there; its id."""
        image_id = self._content.write(data)
        if image_id not in self._images:
            config: dict[str, Any] = msgspec.json.decode(data)
            faults.point("image: configuration")
            chain = self._layers.add_chain(diff_ids(config))
            faults.point("image: chain")
            image = StoredImage(image_id, parent, 0, oci)
            self._store.put(IMAGE_KIND, image_id, image)
            self._images[image_id] = image
            for link in chain:
                self._layers.settle(link)
        return image_id

    def name(self, reference: Reference, image_id: str, *, touch: bool = False) -> str:
        """Let a reference name an image; the id it named before, or ``""``. ``touch`` sets the last tag time."""
        key = str(reference)
        before = self._references.get(key, "")
        with self._store.transaction():
            self._store.put(REFERENCE_KIND, key, StoredReference(key, image_id))
            if touch:
                image = msgspec.structs.replace(self._images[image_id], last_tag=self._clock.time_ns())
                self._store.put(IMAGE_KIND, image_id, image)
                self._images[image_id] = image
        self._references[key] = image_id
        return "" if before == image_id else before

    def unname(self, reference: Reference) -> None:
        self._store.delete(REFERENCE_KIND, str(reference))
        self._references.pop(str(reference), None)

    def delete(self, image_id: str) -> None:
        """Forget an image and its names; layers and blobs are collected later."""
        names = [text for text, named in self._references.items() if named == image_id]
        with self._store.transaction():
            for text in names:
                self._store.delete(REFERENCE_KIND, text)
            self._store.delete(IMAGE_KIND, image_id)
        for text in names:
            del self._references[text]
        del self._images[image_id]
        self._configs.pop(image_id, None)
