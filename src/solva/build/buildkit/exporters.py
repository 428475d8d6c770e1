"""Where a build's result goes: the image store, a registry, or the client (a directory, an archive)."""

from __future__ import annotations

import os
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from solva.buildkit import fsutil
from solva.buildkit import wire_pb2 as wire
from solva.buildkit.fsutil import CHUNK, FILE_SEND
from solva.errors import InvalidParameter, NotImplementedHere

if TYPE_CHECKING:
    from solva.build.builder import Builder, Solved
    from solva.build.buildkit.sessions import Session
    from solva.build.buildkit.status import Journal
    from solva.build.cachetransfer import CacheExport
    from solva.build.collaborators import Snapshots

IMAGE_TYPES = ("moby", "image")
ARCHIVES = ("docker", "oci")


class Store(Protocol):
    """What exports need of the image store beside what builds need."""

    def save(self, refs: list[str]) -> AsyncIterator[bytes]: ...
    async def remove(self, ref: str, *, force: bool, prune: bool) -> Any: ...
    async def push(self, name: str, *, tag: str, platform: str, auth: Any, progress: Any) -> None: ...


class Exporters:
    """All of them; ``export`` does what one entry of the client's list asks."""

    def __init__(self, builder: Builder, snapshots: Snapshots, store: Store) -> None:
        self._builder = builder
        self._snapshots = snapshots
        self._store = store

    async def cache(self, export: CacheExport, solved: Solved, session: Session, journal: Journal) -> None:
        """The cache as an image of its own, pushed; its name here goes again."""
        from solva.build.buildkit.status import Vertex

        with Vertex(journal, f"exporting cache to {export.ref}") as vertex:
            await self._builder.cache_image(solved, export.ref, every=export.every)
            try:
                await self._push(export.ref, session, vertex)
            finally:
                await self._store.remove(export.ref, force=False, prune=True)

    async def export(self, kind: str, attrs: Mapping[str, str], solved: Solved, session: Session, index: int,
                     journal: Journal, *, inline: bool) -> dict[str, str]:
        """The exporter's response. InvalidParameter for a kind that there is not."""
        from solva.build.buildkit.status import Vertex

        if kind in IMAGE_TYPES:
            with Vertex(journal, "exporting to image") as vertex:
                return await self._image(attrs, solved, session, vertex, inline)
        if kind == "local":
            with Vertex(journal, "exporting to client directory") as vertex:
                async with self.root(solved) as root:
                    await send_directory(session, index, root, vertex)
                return {}
        if kind == "tar":
            with Vertex(journal, "exporting to client tarball"):
                async with self.root(solved) as root:
                    await send_file(session, index, _tar(root))
                return {}
        if kind in ARCHIVES:
            with Vertex(journal, f"exporting to {kind} image format"):
                record = await self._builder.image(solved, _names(attrs))
                await send_file(session, index, self._store.save(_names(attrs) or [record.id]))
                return _response(record.id, attrs)
        raise InvalidParameter(f'exporter "{kind}" could not be found')

    async def _image(self, attrs: Mapping[str, str], solved: Solved, session: Session, vertex: Any,
                     inline: bool) -> dict[str, str]:
        vertex.transfer("exporting layers")
        names = _names(attrs)
        record = await self._builder.image(solved, names, with_cache=inline)
        vertex.transfer("exporting layers", done=True)
        vertex.transfer(f"writing image {record.id}", done=True)
        for name in names:
            vertex.transfer(f"naming to {name}", done=True)
        if attrs.get("push") == "true":
            for name in names:
                await self._push(name, session, vertex)
        return _response(record.id, attrs)

    async def _push(self, name: str, session: Session, vertex: Any) -> None:
        repository, tag = name, ""
        if ":" in name.rpartition("/")[2]:
            repository, _, tag = name.rpartition(":")
        host = name.partition("/")[0]
        found = await session.credentials(host)
        auth = {"username": found[0], "password": found[1], "serveraddress": host} if found else None
        vertex.transfer(f"pushing {name}")
        await self._store.push(repository, tag=tag, platform="", auth=auth, progress=lambda value: None)
        vertex.transfer(f"pushing {name}", done=True)

    @asynccontextmanager
    async def root(self, solved: Solved) -> AsyncIterator[Path]:
        """The result's files, mounted."""
        key = f"build-export-{os.urandom(8).hex()}"
        await self._snapshots.prepare(key, solved.state.chain, init=False)
        try:
            yield await self._snapshots.mount(key)
        finally:
            await self._snapshots.remove(key)


def _names(attrs: Mapping[str, str]) -> list[str]:
    return [name for name in attrs.get("name", "").split(",") if name]


def _response(identifier: str, attrs: Mapping[str, str]) -> dict[str, str]:
    found = {"containerimage.config.digest": identifier, "containerimage.digest": identifier}
    if attrs.get("name"):
        found["image.name"] = attrs["name"]
    return found


def _open(session: Session, kind: Any, index: int) -> Any:
    if FILE_SEND not in session.methods:
        raise InvalidParameter("the client's session takes no files")
    return session.open(FILE_SEND, kind, {"buildkit-attachable-exporter-id": str(index)})


async def send_file(session: Session, index: int, data: AsyncIterator[bytes]) -> None:
    """One file for the client's exporter number ``index``."""
    async with _open(session, wire.Bytes, index) as stream:
        await stream.send_request()
        async for block in data:
            for start in range(0, len(block), CHUNK):
                await stream.send_message(wire.Bytes(data=block[start:start + CHUNK]))
        await stream.end()
        async for _ in stream:
            pass


async def send_directory(session: Session, index: int, root: Path, vertex: Any) -> None:
    """The files under ``root`` for the client's exporter number ``index``."""
    async with _open(session, wire.Packet, index) as stream:
        await stream.send_request()
        await fsutil.send(stream, _walk(os.fspath(root), "", fsutil.Links()),
                          lambda sent: vertex.transfer("copying files", sent))


def _walk(root: str, below: str, links: fsutil.Links) -> Iterator[tuple[str, Any]]:
    with os.scandir(os.path.join(root, below)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = below + entry.name
        yield entry.path, links.packed(entry.path, path)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path + "/", links)


async def _tar(root: Path) -> AsyncIterator[bytes]:
    """The files under ``root`` as a tar, made in a file without a name: tarfile cannot be suspended."""
    import asyncio
    import tempfile

    with tempfile.TemporaryFile() as file:
        def make() -> None:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name in sorted(os.listdir(root)):
                    tar.add(root / name, name)
            file.seek(0)
        await asyncio.to_thread(make)
        while block := file.read(1 << 18):
            yield block


def refuse(kind: str) -> None:
    """A kind that a client may ask for and that is known to be missing."""
    if kind not in (*IMAGE_TYPES, *ARCHIVES, "local", "tar", ""):
        raise NotImplementedHere(f"the exporter {kind} is not supported")
