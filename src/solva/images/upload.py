"""One blob of ours into a registry: in one request when it is small, else in parts, each resumed where it broke."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from solva.registry.client import ATTEMPTS, PAUSE, Repository
from solva.registry.errors import RegistryError
from solva.registry.http import HttpError
from solva.tasks import to_its_end

PART = 16 << 20
_CHUNK = 1 << 20


class Upload:
    """``progress`` is told the bytes that are on the way; ``retrying`` the seconds until the next try."""

    def __init__(self, repository: Repository, path: Path, digest: str, size: int, progress: Callable[[int], None],
                 retrying: Callable[[int], None], pause: float = PAUSE) -> None:
        self._repository = repository
        self._path = path
        self._digest = digest
        self._size = size
        self._progress = progress
        self._retrying = retrying
        self._pause = pause

    async def run(self, location: str) -> None:
        """Send it all. RegistryError or HttpError once five tries in a row have brought nothing."""
        failures = 0
        position = 0
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while True:
                before = position
                try:
                    if self._size <= PART:
                        await self._repository.upload(location, self._digest, self._whole(descriptor), self._size)
                        return
                    while position < self._size:
                        part = await to_its_end(os.pread, descriptor, PART, position)
                        location = await self._repository.send_part(location, part, position)
                        position += len(part)
                        self._progress(position)
                    await self._repository.upload(location, self._digest, b"", 0)
                    return
                except (HttpError, RegistryError) as error:
                    if isinstance(error, RegistryError) and not error.passing:
                        raise
                    failures = 1 if position > before else failures + 1
                    if failures >= ATTEMPTS:
                        raise
                    delay = max(getattr(error, "retry_after", 0), self._pause * 2 ** (failures - 1))
                self._retrying(math.ceil(delay))
                await asyncio.sleep(delay)
                location, position = await self._again(location)
        finally:
            os.close(descriptor)

    async def _again(self, location: str) -> tuple[str, int]:
        """Where to go on: the upload as far as the registry has it, or a new one."""
        if self._size > PART:
            try:
                return await self._repository.upload_position(location)
            except (HttpError, RegistryError):
                pass
        return await self._repository.start_upload(), 0

    async def _whole(self, descriptor: int) -> AsyncIterator[bytes]:
        sent = 0
        while data := await to_its_end(os.pread, descriptor, _CHUNK, sent):
            yield data
            sent += len(data)
            self._progress(sent)
