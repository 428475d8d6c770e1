"""One blob into one file: streamed, verified, resumed after a broken connection and after a restart."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from solva.errors import SystemFailure
from solva.registry.client import Repository
from solva.registry.errors import RegistryError
from solva.registry.http import HttpError
from solva.tasks import to_its_end

ATTEMPTS = 5
_BATCH = 1 << 20
_READ = 4 << 20
Progress = Callable[[int], None]


class DigestMismatch(SystemFailure):
    """What came is not what was asked for."""


async def fetch_blob(
    repository: Repository, digest: str, size: int, target: Path, progress: Progress,
    retrying: Callable[[int], None] | None = None, pause: float = 1.0,
) -> None:
    """Download ``digest`` to ``target`` (continuing what is there). ``progress`` is told the bytes that are on disk.

    Five attempts that bring nothing new end it; ``retrying`` hears the seconds until the next one. The file stays for
    a later resume, unless its content is wrong (DigestMismatch): then it is emptied.
    """
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        state = _Partial(descriptor)
        await to_its_end(state.rehash, size)
        failures = 0
        while True:
            before = state.position
            if before:
                progress(before)
            try:
                await _receive(repository, digest, size, state, progress)
                break
            except HttpError:
                failures = 1 if state.position > before else failures + 1
                if failures >= ATTEMPTS:
                    raise
            except RegistryError as error:
                if error.status < 500 and error.status not in (408, 429):
                    raise
                failures += 1
                if failures >= ATTEMPTS:
                    raise
            delay = pause * failures
            if retrying is not None:
                retrying(round(delay))
            await asyncio.sleep(delay)
        if state.digest() != digest:
            os.ftruncate(descriptor, 0)
            raise DigestMismatch(f"filesystem layer verification failed for digest {digest}")
    finally:
        os.close(descriptor)


class _Partial:
    """The file so far: how much, and its hash. Methods block; call them in a thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self.position = 0

    def rehash(self, size: int) -> None:
        """Take up what an earlier attempt left."""
        have = os.fstat(self._descriptor).st_size
        if have > size:
            os.ftruncate(self._descriptor, 0)
            return
        while data := os.pread(self._descriptor, _READ, self.position):
            self._hash.update(data)
            self.position += len(data)

    def append(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                written = os.pwrite(self._descriptor, view, self.position)
                self._hash.update(view[:written])
                self.position += written
                view = view[written:]

    def restart(self) -> None:
        """From the front again. Not truncated: the unpacking process may be reading what is there."""
        self._hash = hashlib.sha256()
        self.position = 0

    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


async def _receive(repository: Repository, digest: str, size: int, state: _Partial, progress: Progress) -> None:
    """One attempt."""
    if state.position == size:
        return
    response, start = await repository.blob(digest, state.position)
    try:
        if start != state.position:
            state.restart()
        pending: list[bytes] = []
        held = 0
        try:
            async for piece in response.chunks():
                pending.append(piece)
                held += len(piece)
                if state.position + held > size:
                    raise DigestMismatch(f"filesystem layer verification failed for digest {digest}: "
                                         f"more than the {size} bytes that the manifest names")
                if held >= _BATCH:
                    batch, pending, held = pending, [], 0
                    await to_its_end(state.append, batch)
                    progress(state.position)
        finally:      # what came before the connection broke is kept
            if pending and state.position + held <= size:
                state.append(pending)
                progress(state.position)
    finally:
        response.close()
    if state.position < size:
        raise HttpError(f"{response.url}: unexpected EOF")
