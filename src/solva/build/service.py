"""Builds, for the API: a table of contents. The machinery is imported at the first build."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solva.build.cache import CacheRecord, LayerCache
from solva.build.cachemounts import CacheMounts
from solva.clock import Clock, rfc3339
from solva.kernel import files

if TYPE_CHECKING:
    from solva.api.streams import RawStream
    from solva.api.types.build import BuildOptions
    from solva.build.buildkit.kit import BuildKit
    from solva.build.collaborators import Images, Progress, Snapshots, StepRunner
    from solva.store.sqlite import Store


class BuildService:
    """``root`` is ``data/build``. ``has_layer`` tells of a chain id whether its layer exists; ``collect`` removes
    layers that neither an image nor the cache (``chains``) nor a snapshot uses; (chains, bytes). ``image_chains``
    are all chain ids that images have. The engine sets both."""

    def __init__(self, root: Path, store: Store, snapshots: Snapshots, images: Images, steps: StepRunner, clock: Clock,
                 has_layer: Callable[[str], bool]) -> None:
        self._root = root
        self._scratch = root / "tmp"
        self._cache = LayerCache(store, has_layer, clock)
        self._mounts = CacheMounts(root / "mounts")
        self._clock = clock
        self._snapshots, self._images, self._steps = snapshots, images, steps
        self._running = 0
        self._kit: BuildKit | None = None
        self.collect: Callable[[], Awaitable[tuple[list[str], int]]] | None = None
        self.image_chains: Callable[[], set[str]] = set

    async def start(self) -> None:
        """Remove what builds of a killed engine left: contexts and half-made snapshots."""
        await asyncio.to_thread(files.remove_tree, self._scratch)
        self._scratch.mkdir(parents=True, mode=0o700)
        for key in [key for key in getattr(self._snapshots, "keys", list)() if key.startswith("build-")]:
            await self._snapshots.remove(key)

    async def build(self, options: BuildOptions, context: AsyncIterator[bytes], auth: Any, progress: Progress) -> None:
        """POST /build: unpack ``context``, build, report. A bad request raises before the first progress object."""
        from solva.build import context as contexts

        contexts.refuse_session(options.remote)
        scratch = self._scratch / secrets.token_hex(8)
        folder = scratch / "context"
        folder.mkdir(parents=True)
        scratch.chmod(0o700)
        folder.chmod(0o755)     # a step of any user may read it where it is mounted
        self._running += 1
        try:
            if options.remote:
                folder = await contexts.fetch_remote(options.remote, folder, options.dockerfile)
            else:
                await contexts.unpack(context, folder)
            await self.build_from(options, folder, scratch, auth, progress)
        finally:
            self._running -= 1
            await asyncio.shield(asyncio.to_thread(files.remove_tree, scratch))

    async def build_from(self, options: BuildOptions, folder: Path, scratch: Path, auth: Any,
                         progress: Progress) -> str:
        """Build from an unpacked context (which loses what its ignore file excludes); the image's id."""
        from solva.build import context as contexts
        from solva.build.builder import Builder
        from solva.build.running import Services

        dockerfile = contexts.read_dockerfile(folder, options.dockerfile)
        await asyncio.to_thread(contexts.apply_ignore, folder, options.dockerfile)
        builder = Builder(Services(self._snapshots, self._images, self._steps, self._cache, self._mounts))
        return await builder.build(options, folder, progress, dockerfile=dockerfile, scratch=scratch, auth=auth)

    # BuildKit's clients

    def _buildkit(self) -> BuildKit:
        if self._kit is None:
            from solva.build.builder import Builder
            from solva.build.buildkit.kit import BuildKit
            from solva.build.running import Services

            services = Services(self._snapshots, self._images, self._steps, self._cache, self._mounts)
            self._kit = BuildKit(self._root, Builder(services), self._snapshots, self._images)
        return self._kit

    async def session(self, stream: RawStream, headers: Mapping[str, str], methods: list[str]) -> None:
        """POST /session: calls to the client go over ``stream``, until it ends."""
        await self._buildkit().session(stream, headers, methods)

    async def control(self, stream: RawStream) -> None:
        """POST /grpc: the client's calls."""
        self._running += 1
        try:
            await self._buildkit().control(stream)
        finally:
            self._running -= 1

    # the cache

    def chains(self) -> set[str]:
        """Chain ids that the cache keeps alive: count them as used when layers are collected."""
        return self._cache.chains()

    def usage(self) -> list[dict[str, Any]]:
        """The API's BuildCache objects, for /system/df."""
        used = self.image_chains()
        return [_usage(record, record.chain_id in used) for record in self._cache.records()]

    async def prune(self, *, all: bool, keep: int, filters: dict[str, list[str]]) -> tuple[list[str], int]:
        """POST /build/prune: records whose layer no image has (``all``: those too), least recently used first, until
        ``keep`` bytes are left; without filters the directories of cache mounts too, unless a build runs. What was
        deleted, and the bytes that are free now."""
        from solva.build.prune import prunable

        used = self.image_chains()
        records = self._cache.records()
        candidates = records if all else [record for record in records if record.chain_id not in used]
        doomed = prunable(candidates, used, filters, self._clock.time_ns(), keep)
        self._cache.remove(doomed)
        self._cache.forget_sources()
        space = sum(record.size for record in doomed if record.chain_id not in used)
        if self.collect is not None:
            _, space = await self.collect()
        deleted = [record.key for record in doomed]
        if not filters and not keep and not self._running:
            for name, _, size in await asyncio.to_thread(self._mounts.listed):
                await asyncio.to_thread(self._mounts.remove, name)
                deleted.append(name)
                space += size
        return deleted, space


def _usage(record: CacheRecord, shared: bool) -> dict[str, Any]:
    return {"ID": record.key[:25], "Type": "exec.cachemount" if not record.chain_id else "regular",
            "Description": record.description, "InUse": False, "Shared": shared, "Size": record.size,
            "CreatedAt": rfc3339(record.created), "LastUsedAt": rfc3339(record.used), "UsageCount": record.count}
