"""Layers on their way in: two pulls of one layer share one download; at most three at a time a pull."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from solva.errors import SystemFailure
from solva.images.progress import LayerProgress
from solva.kernel import files
from solva.registry.client import Repository
from solva.registry.fetch import fetch_blob
from solva.registry.manifest import Descriptor
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import Diff, LayerStore
from solva.snapshots.worker import Unpacked, UnpackProcess


class _Transfer:
    def __init__(self) -> None:
        self.watchers: list[LayerProgress] = []
        self.waiting = 0
        self.task: asyncio.Task[Diff]

    def status(self, text: str) -> None:
        for watcher in self.watchers:
            watcher.status(text)

    def amount(self, text: str, current: int, total: int) -> None:
        for watcher in self.watchers:
            watcher.amount(text, current, total)


class Transfers:
    """One an engine."""

    def __init__(self, content: ContentStore, layers: LayerStore) -> None:
        self._content = content
        self._layers = layers
        self._running: dict[str, _Transfer] = {}

    async def layer(
        self, repository: Repository, descriptor: Descriptor, diff_id: str, progress: LayerProgress,
        slots: asyncio.Semaphore,
    ) -> Diff:
        """Download and unpack one layer, or join whoever does. It goes on while anyone waits for it."""
        key = f"{descriptor.digest} {diff_id}"
        transfer = self._running.get(key)
        if transfer is None:
            transfer = self._running[key] = _Transfer()
            transfer.task = asyncio.create_task(self._run(transfer, repository, descriptor, diff_id, slots))
            transfer.task.add_done_callback(lambda _: self._running.pop(key, None))
        transfer.watchers.append(progress)
        transfer.waiting += 1
        try:
            return await asyncio.shield(transfer.task)
        finally:
            transfer.watchers.remove(progress)
            transfer.waiting -= 1
            if not transfer.waiting and not transfer.task.done():
                transfer.task.cancel()
                await asyncio.gather(transfer.task, return_exceptions=True)

    async def _run(
        self, transfer: _Transfer, repository: Repository, descriptor: Descriptor, diff_id: str,
        slots: asyncio.Semaphore,
    ) -> Diff:
        try:
            return await self._fetch(transfer, repository, descriptor, diff_id, slots)
        except (OSError, SystemFailure) as error:
            if files.disk_full(error):      # what could be resumed later is what fills the disk now
                self._content.partial(descriptor.digest).unlink(missing_ok=True)
                if descriptor.digest not in self._layers.blobs():
                    self._content.delete(descriptor.digest)
            raise

    async def _fetch(
        self, transfer: _Transfer, repository: Repository, descriptor: Descriptor, diff_id: str,
        slots: asyncio.Semaphore,
    ) -> Diff:
        if self._content.has(descriptor.digest):      # an earlier pull got that far
            path = self._content.path(descriptor.digest)
            return await self._unpack(transfer, path, descriptor, diff_id, None)
        partial = self._content.partial(descriptor.digest)
        descriptor_file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor_file)

        async def download(arrived: Callable[[int], None]) -> None:
            def progress(count: int) -> None:
                arrived(count)
                transfer.amount("Downloading", count, descriptor.size)

            async with slots:
                await fetch_blob(
                    repository, descriptor.digest, descriptor.size, partial, progress,
                    lambda seconds: transfer.status(f"Retrying in {seconds} second{'' if seconds == 1 else 's'}"))
            transfer.status("Verifying Checksum")
            transfer.status("Download complete")

        return await self._unpack(transfer, partial, descriptor, diff_id, download)

    async def _unpack(
        self, transfer: _Transfer, path: os.PathLike[str], descriptor: Descriptor, diff_id: str,
        download: Callable[[Callable[[int], None]], Awaitable[None]] | None,
    ) -> Diff:
        """Unpack ``path`` while it is downloaded; registered only when both digests are right."""
        scratch = self._layers.scratch()
        layer = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        downloaded = download is None

        def read(count: int) -> None:
            if downloaded:
                transfer.amount("Extracting", count, descriptor.size)

        try:
            async with UnpackProcess(layer, scratch / "fs", read) as process:
                result = asyncio.ensure_future(process.result())
                try:
                    if download is not None:
                        await download(process.available)
                        downloaded = True
                        await asyncio.to_thread(
                            self._content.commit, self._content.partial(descriptor.digest), descriptor.digest)
                    process.whole()
                    unpacked = await result
                finally:
                    result.cancel()
                    await asyncio.gather(result, return_exceptions=True)
            self._check(unpacked, diff_id)
            transfer.amount("Extracting", descriptor.size, descriptor.size)
            media = descriptor.media_type
            return self._layers.add_diff(
                scratch, diff_id, unpacked.size, descriptor.digest, descriptor.size, media)
        except BaseException:
            await asyncio.to_thread(files.remove_tree, scratch)
            raise
        finally:
            os.close(layer)

    @staticmethod
    def _check(unpacked: Unpacked, diff_id: str) -> None:
        if unpacked.diff_id != diff_id:
            raise SystemFailure(f"layers from manifest don't match image configuration: {unpacked.diff_id} is not "
                                f"{diff_id}")
