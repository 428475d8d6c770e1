"""cp and export: files of a container as tar streams.

A running container is seen through its first process, so volumes and tmpfs are there; a stopped one through its
mounted root file system with its volumes and binds in place. All work on paths is done chrooted (kernel/rooted.py), so
no link leads outside.
"""

from __future__ import annotations

import asyncio
import grp  # noqa: F401  (tarfile asks for them, and a chrooted thread must not import)
import os
import posixpath
import pwd  # noqa: F401
import stat as modes
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from solva.clock import rfc3339
from solva.containers import users
from solva.containers.core import Core
from solva.containers.model import Container
from solva.errors import Conflict, Forbidden, InvalidParameter, NotFound, SystemFailure
from solva.kernel import inroot, rooted

T = TypeVar("T")
_CHUNK = 256 << 10
_GO_BITS = ((modes.S_ISUID, 1 << 23), (modes.S_ISGID, 1 << 22), (modes.S_ISVTX, 1 << 20))
_GO_KINDS = {modes.S_IFDIR: 1 << 31, modes.S_IFLNK: 1 << 27, modes.S_IFBLK: 1 << 26, modes.S_IFIFO: 1 << 25,
             modes.S_IFSOCK: 1 << 24, modes.S_IFCHR: (1 << 26) | (1 << 21)}


class _View:
    """The container's file system while it is used. ``volumes``: with what is mounted in a stopped one, too."""

    def __init__(self, core: Core, container: Container, *, volumes: bool = True) -> None:
        self._core, self._container, self._volumes = core, container, volumes
        self._mounted: AsyncExitStack | None = None
        self._binds: list[tuple[str, str, bool]] = []
        self.root = ""

    async def __aenter__(self) -> _View:
        core, container = self._core, self._container
        if container.state.alive:
            self.root = f"/proc/{container.state.pid}/root"
            return self
        async with AsyncExitStack() as undo:
            self.root = str(await core.snapshots.mount(container.id))
            undo.push_async_callback(self._unmount)
            for point in container.mounts if self._volumes else ():
                source = point.source
                if point.type == "volume":
                    user = f"{container.id}-files"
                    path = await core.volumes.mount(point.name, user)
                    undo.push_async_callback(core.volumes.unmount, point.name, user)
                    source = inroot.host_path(path, point.subpath) if point.subpath else str(path)
                elif point.type != "bind" or not os.path.lexists(source):
                    continue
                self._binds.append((source, point.destination, point.rw))
            self._mounted = undo.pop_all()
        return self

    async def _unmount(self) -> None:
        if not self._container.state.alive:
            await self._core.snapshots.unmount(self._container.id)

    async def __aexit__(self, *_: object) -> None:
        if self._mounted is not None:
            await self._mounted.aclose()

    def call(self, action: Callable[[], T]) -> T:
        """``action()`` with the container's root as ``/``; blocks."""
        return rooted.call(self.root, action, self._binds)


async def stat(core: Core, container: Container, path: str) -> dict[str, Any]:
    """The object that HEAD …/archive answers with."""
    async with _View(core, container) as view:
        return await _stat(container, view, path)


async def _stat(container: Container, view: _View, path: str) -> dict[str, Any]:
    place = _clean(path)

    def look() -> tuple[os.stat_result, str]:
        info = os.lstat(place)
        return info, os.readlink(place) if modes.S_ISLNK(info.st_mode) else ""

    try:
        info, target = await asyncio.to_thread(view.call, look)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"Could not find the file {path} in container {container.name}") from None
    if target:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
    mode = modes.S_IMODE(info.st_mode) & 0o777 | _GO_KINDS.get(modes.S_IFMT(info.st_mode), 0)
    for bit, go in _GO_BITS:
        mode |= go if info.st_mode & bit else 0
    return {"name": posixpath.basename(place) or "/", "size": info.st_size, "mode": mode,
            "mtime": rfc3339(info.st_mtime_ns), "linkTarget": target}


async def get(core: Core, container: Container, path: str) -> tuple[dict[str, Any], AsyncIterator[bytes]]:
    """What ``path`` is, and it as a tar stream under its last name."""
    view = _View(core, container)
    await view.__aenter__()
    try:
        about = await _stat(container, view, path)
    except BaseException:
        await view.__aexit__()
        raise
    place = _clean(path)
    name = "." if path.rstrip().endswith("/.") or place == "/" else posixpath.basename(place)

    def write(file: BinaryIO) -> None:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            tar.add(place, arcname=name, filter=_anonymous)

    return about, _stream(view, write)


async def export(core: Core, container: Container) -> AsyncIterator[bytes]:
    """The whole file system, volumes left out as in Docker for a stopped container."""
    view = _View(core, container, volumes=False)
    await view.__aenter__()
    view.root = str(core.snapshots.rootfs(container.id))

    def write(file: BinaryIO) -> None:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(os.listdir("/")):
                tar.add(f"/{name}", arcname=name, filter=_anonymous)

    core.event(container, "export")
    return _stream(view, write)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Names of the host's users mean nothing in there."""
    info.uname = info.gname = ""
    return info


async def _stream(view: _View, write: Callable[[BinaryIO], None]) -> AsyncIterator[bytes]:
    reader, writer = os.pipe()
    file = os.fdopen(writer, "wb", buffering=_CHUNK)

    def work() -> None:
        with file:
            view.call(lambda: write(file))

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        while True:
            data = await asyncio.to_thread(os.read, reader, _CHUNK)
            if not data:
                break
            yield data
        try:
            await task
        except OSError as error:
            raise SystemFailure(f"archive: {error.strerror}: {error.filename}") from error
    finally:
        os.close(reader)      # a writer that still writes gets EPIPE
        await asyncio.gather(task, return_exceptions=True)
        await view.__aexit__()


async def put(core: Core, container: Container, path: str, data: AsyncIterator[bytes], *, no_overwrite: bool,
              as_user: bool) -> None:
    """Unpack a tar stream into directory ``path``. ``as_user``: what is made belongs to the container's user."""
    if _read_only_mount(container, path):
        raise InvalidParameter("mounted volume is marked read-only")
    if container.host_config.readonly_rootfs and not _in_volume(container, path):
        raise Forbidden("container rootfs is marked read-only")
    place = _clean(path)
    async with _View(core, container) as view:
        await asyncio.to_thread(view.call, lambda: _check_directory(container, place, path))
        owner = users.resolve(Path(view.root), container.config.user, []) if as_user and container.config.user else None
        reader, writer = os.pipe()
        file = os.fdopen(reader, "rb", buffering=_CHUNK)

        def work() -> None:
            with file:
                view.call(lambda: _unpack(file, place, no_overwrite, owner))

        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            await _feed(data, writer, task)
        finally:
            os.close(writer)
        try:
            await task
        except tarfile.TarError as error:
            raise InvalidParameter(f"Error processing tar file: {error}") from error
        except OSError as error:
            raise SystemFailure(f"Error processing tar file: {error.strerror}: {error.filename}") from error
    core.event(container, "extract-to-dir")


async def _feed(data: AsyncIterator[bytes], writer: int, task: asyncio.Future[None]) -> None:
    async for piece in data:
        if task.done():
            continue      # the rest of the request is read and dropped
        view = memoryview(piece)
        while view:
            try:
                view = view[await asyncio.to_thread(os.write, writer, view):]
            except BrokenPipeError:
                break


def _check_directory(container: Container, place: str, shown: str) -> None:
    try:
        info = os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"Could not find the file {shown} in container {container.name}") from None
    if not modes.S_ISDIR(info.st_mode):
        raise InvalidParameter("extraction point is not a directory")


def _unpack(file: BinaryIO, place: str, no_overwrite: bool, owner: users.Identity | None) -> None:
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            target = posixpath.join(place, member.name)
            if os.path.lexists(target):
                old = os.lstat(target)
                both = modes.S_ISDIR(old.st_mode) == member.isdir()
                if not both and no_overwrite:
                    kind = "a directory" if modes.S_ISDIR(old.st_mode) else "a non-directory"
                    raise Conflict(f"cannot overwrite {kind}: {target}")
                if not modes.S_ISDIR(old.st_mode):
                    os.unlink(target)
            if owner is not None:
                member.uid, member.gid = owner.uid, owner.gid
            tar.extract(member, place, numeric_owner=True, filter="fully_trusted")
        while file.read(_CHUNK):
            pass


def _read_only_mount(container: Container, path: str) -> bool:
    place = _clean(path)
    inside = [point for point in container.mounts
              if place == point.destination or place.startswith(point.destination + "/")]
    return bool(inside) and not max(inside, key=lambda point: len(point.destination)).rw


def _in_volume(container: Container, path: str) -> bool:
    place = _clean(path)
    return any(place == point.destination or place.startswith(point.destination + "/")
               for point in container.mounts if point.rw)


def _clean(path: str) -> str:
    return "/" + posixpath.normpath("/" + path).lstrip("/")
