"""The build context: the client's tar, unpacked, its ignore file applied; the Dockerfile found in it."""

import asyncio
import io
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

from solva.build import rootpath
from solva.build.ignore import Ignore
from solva.build.untar import Untar
from solva.errors import InvalidParameter, NotImplementedHere
from solva.kernel import files
from solva.snapshots.compression import CompressionError
from solva.snapshots.compression import reader as decompressed
from solva.snapshots.tarstream import TarReader

MAX_DOCKERFILE = 16 << 20


class _Abandoned(Exception):
    """The build was cancelled while a thread was unpacking."""


class BodyReader(io.RawIOBase):
    """A request's body, read by a thread; each piece is asked of the event loop, so nothing piles up."""

    def __init__(self, body: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._body = body
        self._loop = loop
        self._piece = memoryview(b"")
        self._ended = False
        self._abandoned = False
        self._pending: asyncio.Task[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)       # type: ignore[arg-type]
        while not self._piece and not self._ended:
            if self._abandoned:
                raise _Abandoned
            try:
                self._piece = memoryview(asyncio.run_coroutine_threadsafe(self._next(), self._loop).result())
            except (asyncio.CancelledError, TimeoutError):
                raise _Abandoned from None
            self._ended = not self._piece
        count = min(len(view), len(self._piece))
        view[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    async def _next(self) -> bytes:
        self._pending = asyncio.current_task()
        try:
            async for piece in self._body:
                if piece:
                    return piece
            return b""
        finally:
            self._pending = None

    def abandon(self) -> None:
        """Make the thread stop at its next read. On the loop."""
        self._abandoned = True
        if self._pending is not None:
            self._pending.cancel()


async def unpack(body: AsyncIterator[bytes], target: Path) -> None:
    """Unpack the tar (plain, gzip, bzip2, xz, zstd) that ``body`` is into ``target``, an empty directory."""
    reader = BodyReader(body, asyncio.get_running_loop())
    work = asyncio.ensure_future(asyncio.to_thread(_unpack, reader, str(target)))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        reader.abandon()
        await asyncio.gather(work, return_exceptions=True)
        raise


def _unpack(reader: BodyReader, target: str) -> None:
    try:
        source = TarReader(decompressed(reader))
        # A context's files belong to root whoever owned them at the client.
        Untar(target, (0, 0)).extract(source)
        source.drain()
    except CompressionError as error:
        raise InvalidParameter(f"Error processing tar file: {error}") from error


async def fetch_remote(remote: str, folder: Path, dockerfile: str, subdir: str = "",
                       agent: Path | None = None) -> Path:
    """A context that is elsewhere, fetched into ``folder``: a Git repository, an archive, or a lone Dockerfile. The
    directory that is the context."""
    from solva.build import git
    from solva.build.archive import is_archive, unpack_archive
    from solva.build.download import fetch

    if git.is_git(remote):
        return await git.fetch(git.GitSource.parse(remote), folder, agent)
    if not remote.startswith(("http://", "https://")):
        raise InvalidParameter(f"invalid build context {remote}: a git or http URL is expected")
    _, data, _ = await fetch(remote, name="context")
    path = folder.parent / f"{folder.name}.download"
    path.write_bytes(data)
    try:
        if is_archive(str(path)):
            await asyncio.to_thread(unpack_archive, str(path), str(folder), (0, 0))
            return Path(rootpath.inside(os.fspath(folder), subdir))
        target = folder / (dockerfile or "Dockerfile")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return folder
    finally:
        path.unlink(missing_ok=True)


def refuse_session(remote: str) -> None:
    """Contexts that only BuildKit's clients can send."""
    if remote == "client-session":
        raise NotImplementedHere("BuildKit builds over POST /build, as Docker's command line before 23 makes them, are "
                                 "not supported: set DOCKER_BUILDKIT=0, or use buildx")


def read_dockerfile(context: Path, name: str) -> bytes:
    """The Dockerfile's bytes. A link in its path is followed inside the context."""
    root = os.fspath(context)
    if rootpath.clean(name) != os.path.normpath(name).lstrip("/"):
        raise InvalidParameter(f"forbidden path outside the build context: {name} ()")
    path = rootpath.inside(root, name)
    if not os.path.lexists(path) and name == "Dockerfile":
        path = rootpath.inside(root, "dockerfile")
    try:
        info = os.lstat(path)
        if not stat.S_ISREG(info.st_mode):
            raise InvalidParameter(f"failed to read dockerfile: {name} is not a regular file")
        if info.st_size > MAX_DOCKERFILE:
            raise InvalidParameter(f"failed to read dockerfile: {name} is greater than {MAX_DOCKERFILE} bytes")
        with open(path, "rb") as file:
            data = file.read()
    except (OSError, ValueError):
        raise InvalidParameter(f"Cannot locate specified Dockerfile: {name}") from None
    if not data:
        raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
    return data


def apply_ignore(context: Path, dockerfile: str) -> None:
    """Remove what ``<Dockerfile>.dockerignore`` or ``.dockerignore`` excludes. The client may have done so already,
    but sends both files even when they are excluded themselves."""
    root = os.fspath(context)
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        path = rootpath.inside(root, name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                ignore = Ignore.parse(file.read())
            if ignore:
                _remove_excluded(root, "", ignore)
            return


def _remove_excluded(folder: str, below: str, ignore: Ignore) -> bool:
    """Remove excluded entries under ``folder``; whether anything is left."""
    kept = False
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        relative = below + entry.name
        excluded = ignore.excluded(relative)
        if not entry.is_dir(follow_symlinks=False):
            if excluded:
                os.unlink(entry.path)
        elif not excluded or ignore.has_exceptions:
            left = _remove_excluded(entry.path, relative + "/", ignore)
            if excluded and not left:
                os.rmdir(entry.path)
                continue
            excluded = False
        else:
            files.remove_tree(entry.path)
        kept = kept or not excluded
    return kept
