"""``save``: a tar that is an OCI layout and a docker archive at once, streamed."""

import asyncio
import io
import os
import secrets
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from solva.errors import SystemFailure
from solva.images.model import diff_ids
from solva.images.store import ImageStore
from solva.registry import manifest
from solva.registry.reference import Reference, parse
from solva.snapshots.compression import CompressionError, reader
from solva.snapshots.content import ContentStore, digest_of
from solva.snapshots.layers import LayerStore
from solva.snapshots.tarwrite import header

_CHUNK = 1 << 20
_OCI_TAR = "application/vnd.oci.image.layer.v1.tar"


class Archiver:
    """One an engine."""

    def __init__(self, images: ImageStore, content: ContentStore, layers: LayerStore) -> None:
        self._images = images
        self._content = content
        self._layers = layers

    def _selection(self, refs: list[str]) -> dict[str, list[Reference]]:
        """Image id -> names to store, in order. A bare repository means all its tags, an id no name."""
        chosen: dict[str, list[Reference]] = {}
        for ref in refs:
            bare = "@" not in ref and ":" not in ref.rpartition("/")[2]
            matches = []
            if bare and not ref.startswith("sha256:"):
                name = parse(ref).name if len(ref) != 64 else ""
                matches = [(image_id, known) for image_id in self._images.ids()
                           for known in self._images.references(image_id) if known.tag and known.name == name]
            for image_id, known in matches:
                chosen.setdefault(image_id, []).append(known)
            if not matches:
                image_id, reference = self._images.find(ref)
                names = chosen.setdefault(image_id, [])
                if reference is not None and reference.tag and reference not in names:
                    names.append(reference)
        return chosen

    async def stream(self, refs: list[str]) -> AsyncIterator[bytes]:
        """The archive in pieces. NotFound before the first."""
        chosen = self._selection(refs)
        yield _directory("blobs/") + _directory("blobs/sha256/")
        sizes: dict[str, int] = {}
        rows: list[dict[str, Any]] = []
        index: list[dict[str, Any]] = []
        repositories: dict[str, dict[str, str]] = {}
        written: set[str] = set()
        for image_id, names in chosen.items():
            ids = diff_ids(self._images.config(image_id))
            for diff_id in ids:
                if diff_id not in sizes:
                    scratch = self._content.scratch(secrets.token_hex(8))
                    try:
                        sizes[diff_id] = await asyncio.to_thread(self._plain, diff_id, scratch)
                        yield _header(f"blobs/sha256/{diff_id[7:]}", sizes[diff_id])
                        async for piece in _pieces(scratch, sizes[diff_id]):
                            yield piece
                    finally:
                        scratch.unlink(missing_ok=True)
            config = self._content.read(image_id)
            image_manifest = _manifest(image_id, config, [(diff_id, sizes[diff_id]) for diff_id in ids])
            for data in (config, image_manifest):
                digest = digest_of(data)
                if digest not in written:
                    written.add(digest)
                    yield _small(f"blobs/sha256/{digest[7:]}", data)
            rows.append({"Config": f"blobs/sha256/{image_id[7:]}",
                         "RepoTags": [name.familiar for name in names] or None,
                         "Layers": [f"blobs/sha256/{diff_id[7:]}" for diff_id in ids],
                         "LayerSources": {diff_id: {"mediaType": _OCI_TAR, "size": sizes[diff_id], "digest": diff_id}
                                          for diff_id in ids}})
            index.extend(_descriptors(image_manifest, names))
            for name in names:
                repositories.setdefault(name.familiar_name, {})[name.tag] = ids[-1][7:] if ids else ""
        yield _small("index.json", msgspec.json.encode(
            {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": index}))
        yield _small("manifest.json", msgspec.json.encode(rows))
        yield _small("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        if repositories:
            yield _small("repositories", msgspec.json.encode(repositories))
        yield bytes(1024)

    def _plain(self, diff_id: str, target: Path) -> int:
        """The layer's tar as it was, into a file; its size. Checked: a damaged store must not write a bad archive."""
        import hashlib

        diff = self._layers.diff(diff_id)
        assert diff is not None
        digest = hashlib.sha256()
        size = 0
        with open(self._content.path(diff.blob), "rb", buffering=0) as source, open(target, "wb") as file:
            assert isinstance(source, io.RawIOBase)
            read = reader(source)
            try:
                while data := read(_CHUNK):
                    digest.update(data)
                    file.write(data)
                    size += len(data)
            except CompressionError as error:
                raise SystemFailure(f"layer {diff_id}: {error}") from error
        if "sha256:" + digest.hexdigest() != diff_id:
            raise SystemFailure(f"layer {diff_id}: the stored layer file is damaged")
        return size


def _manifest(image_id: str, config: bytes, layers: list[tuple[str, int]]) -> bytes:
    return msgspec.json.encode({
        "schemaVersion": 2, "mediaType": manifest.OCI_MANIFEST,
        "config": {"mediaType": manifest.OCI_CONFIG, "digest": image_id, "size": len(config)},
        "layers": [{"mediaType": _OCI_TAR, "digest": diff_id, "size": size} for diff_id, size in layers],
    })


def _descriptors(data: bytes, names: list[Reference]) -> list[dict[str, Any]]:
    base = {"mediaType": manifest.OCI_MANIFEST, "digest": digest_of(data), "size": len(data)}
    if not names:
        return [base]
    return [{**base, "annotations": {"io.containerd.image.name": str(name),
                                     "org.opencontainers.image.ref.name": name.tag}} for name in names]


def _meta(mode: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0))


def _header(name: str, size: int) -> bytes:
    return header(name.encode(), b"0", _meta(stat.S_IFREG | 0o644), size=size)


def _directory(name: str) -> bytes:
    return header(name.encode(), b"5", _meta(stat.S_IFDIR | 0o755))


def _small(name: str, data: bytes) -> bytes:
    return _header(name, len(data)) + data + bytes(-len(data) % 512)


async def _pieces(path: Path, size: int) -> AsyncIterator[bytes]:
    with open(path, "rb") as file:
        while data := await asyncio.to_thread(file.read, _CHUNK):
            yield data
    yield bytes(-size % 512)
