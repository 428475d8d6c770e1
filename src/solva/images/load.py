"""``load`` and ``import``: archives in. Unpacked by the chrooted process, so no name in them leads anywhere."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from solva.clock import Clock, rfc3339
from solva.errors import InvalidParameter, SystemFailure
from solva.images.model import diff_ids
from solva.images.progress import LayerProgress, Progress
from solva.images.store import ImageStore
from solva.kernel import files
from solva.registry import manifest
from solva.registry.reference import Reference, parse
from solva.snapshots.compression import name_of
from solva.snapshots.content import ContentStore, digest_of
from solva.snapshots.layers import LayerStore
from solva.snapshots.worker import UnpackProcess
from solva.tasks import to_its_end

_CHUNK = 1 << 20
_PLAIN = "application/vnd.docker.image.rootfs.diff.tar"


class Loader:
    """One an engine."""

    def __init__(self, images: ImageStore, content: ContentStore, layers: LayerStore, clock: Clock) -> None:
        self._images = images
        self._content = content
        self._layers = layers
        self._clock = clock

    async def load(
        self, data: AsyncIterator[bytes], progress: Progress, quiet: bool
    ) -> AsyncIterator[tuple[str, list[Reference]]]:
        """Each image of the archive and its names, as it is complete."""
        directory = self._layers.scratch()
        try:
            await self._receive(data, directory / "fs")
            root = directory / "fs"
            if (root / "manifest.json").is_file():
                wanted = _docker_archive(root)
            elif (root / "index.json").is_file():
                wanted = _oci_layout(root)
            else:
                raise InvalidParameter("invalid archive: does not contain a manifest.json")
            for config, layers, names, oci in wanted:
                yield await self._image(config, layers, oci, None if quiet else progress), names
        finally:
            await asyncio.to_thread(files.remove_tree, directory)

    async def _receive(self, data: AsyncIterator[bytes], target: Path) -> None:
        """The archive's files, while it arrives."""
        scratch = self._content.scratch(secrets.token_hex(8))
        descriptor = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            async with UnpackProcess(descriptor, target) as process:
                total = 0
                async for piece in data:
                    await to_its_end(_append, descriptor, piece, total)
                    total += len(piece)
                    process.available(total)
                process.whole()
                try:
                    await process.result()
                except SystemFailure as error:
                    raise InvalidParameter(f"invalid archive: {str(error).partition(': ')[2]}") from error
        except OSError as error:
            raise SystemFailure(f"load: {(error.strerror or str(error)).lower()}") from error
        finally:
            os.close(descriptor)
            scratch.unlink(missing_ok=True)

    async def _image(self, config: bytes, layers: list[Path], oci: bool, progress: Progress | None) -> str:
        wanted = diff_ids(manifest.decode(config))
        if len(wanted) != len(layers):
            raise InvalidParameter("invalid manifest, layers length mismatch: "
                                   f"expected {len(wanted)}, got {len(layers)}")
        with self._layers.lease(wanted):
            for diff_id, path in zip(wanted, layers, strict=True):
                if self._layers.diff(diff_id) is None:
                    line = LayerProgress(progress, diff_id[7:19]) if progress else None
                    found = await self._layer(path, line)
                    if found != diff_id:
                        raise InvalidParameter(f'invalid diffID for layer: expected "{diff_id}", got "{found}"')
            return self._images.add(config, oci=oci)

    async def _layer(self, path: Path, line: LayerProgress | None) -> str:
        """Unpack a layer file and keep it as a blob; its diff id."""
        size = path.stat().st_size
        scratch = self._layers.scratch()
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            read = (lambda count: line.amount("Loading layer", count, size)) if line else None
            async with UnpackProcess(descriptor, scratch / "fs", read) as process:
                process.whole()
                unpacked = await process.result()
            if line is not None:
                line.amount("Loading layer", size, size)
            digest = await to_its_end(_file_digest, descriptor)
            kept = self._content.scratch(secrets.token_hex(8))
            await asyncio.to_thread(_link_or_copy, path, kept)
            await asyncio.to_thread(self._content.commit, kept, digest)
            kind = name_of(os.pread(descriptor, 6, 0))
            media = {"": _PLAIN, "gzip": manifest.DOCKER_LAYER, "zstd": manifest.OCI_LAYER + "+zstd"}.get(kind, _PLAIN)
            self._layers.add_diff(scratch, unpacked.diff_id, unpacked.size, digest, size, media)
            return unpacked.diff_id
        except BaseException:
            await asyncio.to_thread(files.remove_tree, scratch)
            raise
        finally:
            os.close(descriptor)

    async def import_tar(
        self, source: str, data: AsyncIterator[bytes], message: str, config: dict[str, Any], platform: str,
        progress: Progress,
    ) -> str:
        """One layer of ``data`` (or of what ``source`` names) as an image."""
        if source != "-":
            data = _download(source, progress)
        scratch = self._content.scratch(secrets.token_hex(8))
        descriptor = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            total = 0
            async for piece in data:
                await to_its_end(_append, descriptor, piece, total)
                total += len(piece)
            diff_id = await self._layer(scratch, None)
        finally:
            os.close(descriptor)
            scratch.unlink(missing_ok=True)
        wanted = manifest.parse_platform(platform)
        now = rfc3339(self._clock.time_ns())
        text = message or f"Imported from {source}"
        body = {
            "architecture": wanted.architecture, "comment": text, "config": config, "created": now,
            "history": [{"created": now, "comment": text}], "os": wanted.os,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        with self._layers.lease([diff_id]):
            return self._images.add(msgspec.json.encode(body))


async def _download(source: str, progress: Progress) -> AsyncIterator[bytes]:
    from solva.registry.http import HttpClient, HttpError

    url = source if "://" in source else f"http://{source}"
    progress({"status": f"Downloading from {url}"})
    async with HttpClient() as client:
        try:
            response = await client.request("GET", url)
            if response.status != 200:
                response.close()
                raise SystemFailure(f"got HTTP status code {response.status} from {url}")
            async for piece in response.chunks():
                yield piece
        except HttpError as error:
            raise SystemFailure(str(error)) from error


def _append(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _file_digest(descriptor: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while data := os.pread(descriptor, _CHUNK, offset):
        digest.update(data)
        offset += len(data)
    return "sha256:" + digest.hexdigest()


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        files.copy_file(str(source), str(target))


def _inside(root: Path, name: str) -> Path:
    """A file of the archive, its symlinks followed no further than the archive. InvalidParameter."""
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(os.path.realpath(root)) or not path.is_file():
        raise InvalidParameter(f"invalid archive: no file {name!r}")
    return path


_Wanted = list[tuple[bytes, list[Path], list[Reference], bool]]


def _docker_archive(root: Path) -> _Wanted:
    try:
        rows = msgspec.json.decode(_inside(root, "manifest.json").read_bytes(), type=list[dict[str, Any]])
        return [(_inside(root, row["Config"]).read_bytes(),
                 [_inside(root, layer) for layer in row.get("Layers") or []],
                 [parse(tag) for tag in row.get("RepoTags") or []], False) for row in rows]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise InvalidParameter(f"invalid archive: manifest.json: {error}") from error


def _oci_layout(root: Path) -> _Wanted:
    def blob(digest: str) -> Path:
        return _inside(root, "blobs/" + digest.replace(":", "/"))

    def verified(digest: str) -> bytes:
        data = blob(digest).read_bytes()
        if digest_of(data) != digest:
            raise InvalidParameter(f"invalid archive: content of {digest} is damaged")
        return data

    found: _Wanted = []
    try:
        for entry in manifest.decode(_inside(root, "index.json").read_bytes())["manifests"]:
            body = manifest.decode(verified(entry["digest"]))
            if manifest.media_type_of(body, entry.get("mediaType") or "") in (manifest.OCI_INDEX, manifest.DOCKER_LIST):
                chosen = manifest.choose(body, manifest.host_platform())
                body = manifest.decode(verified(chosen.digest))
            parsed = manifest.parse(body, "")
            notes = entry.get("annotations") or {}
            name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name") or ""
            names = [parse(name).with_default_tag()] if "/" in name or ":" in name else []
            found.append((verified(parsed.config.digest), [blob(layer.digest) for layer in parsed.layers], names, True))
    except (KeyError, TypeError) as error:
        raise InvalidParameter(f"invalid archive: index.json: {error!r}") from error
    return found
