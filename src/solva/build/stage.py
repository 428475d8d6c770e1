"""One stage while it is built: what instructions may do to it."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from solva import faults
from solva.build import copyfiles
from solva.build.archive import is_archive, unpack_archive
from solva.build.cache import key_of
from solva.build.copyfiles import Copier, CopySpec, Source, Tree
from solva.build.dockerfile.ast import DockerfileError, Node
from solva.build.instructions.base import expanding
from solva.ids import new_id

if TYPE_CHECKING:
    from solva.build.output import Channel
    from solva.build.running import Build
    from solva.build.stagestate import StageState
    from solva.snapshots.layers import LayerInfo


@dataclass(frozen=True, slots=True)
class Inline:
    """A file that is not in a source tree: a heredoc or a download. ``path`` is on the host."""

    name: str
    path: str


class Stage:
    """Given to every Command. ``state`` is the image as it stands; ``channel`` the stage's voice."""

    def __init__(self, build: Build, state: StageState, channel: Channel, name: str) -> None:
        self.build = build
        self.state = state
        self.channel = channel
        self.name = name
        self.cmd_set = False
        self.cached = False     # whether the step in hand came from the cache
        self.secret_env: dict[str, str] = {}    # variables of the RUN step in hand that no image and no cache key has

    # words

    def expand(self, node: Node, word: str) -> str:
        """``word`` with variables put in and quotes removed."""
        expander = self.state.expander(node.escape)
        try:
            value = expander.word(word)
        except DockerfileError as error:
            raise expanding(node, word, error) from None
        return value

    def expand_words(self, node: Node, word: str) -> list[str]:
        try:
            return self.state.expander(node.escape).words(word)
        except DockerfileError as error:
            raise expanding(node, word, error) from None

    def arg_value(self, name: str, default: str | None) -> str | None:
        """What ARG ``name`` is: the client's value, else its default, else the global ARG's or a predefined one."""
        found, value = self.build.arguments.given(name)
        if found:
            return value
        return default if default is not None else self.build.arguments.scope.get(name)

    def destination(self, path: str) -> str:
        """An absolute destination; the slash at its end stays, ``.`` gets one."""
        absolute = posixpath.normpath(posixpath.join("/", self.state.workdir, path))
        absolute = "/" + absolute.lstrip("/")
        if (path in ("", ".") or path.endswith(("/", "/."))) and absolute != "/":
            return absolute + "/"
        return absolute

    # layers

    async def layer(self, created_by: str, inputs: Sequence[str], make: Callable[[Path], None]) -> None:
        """A layer made by a function that runs in a thread."""
        async def threaded(root: Path) -> None:
            work = asyncio.ensure_future(asyncio.to_thread(make, root))
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.gather(work, return_exceptions=True)     # the mount must not go under its feet
                raise
        await self.async_layer(created_by, inputs, threaded, init=False)

    async def async_layer(self, created_by: str, inputs: Sequence[str], make: Callable[[Path], Awaitable[None]], *,
                          init: bool) -> None:
        """A layer from the cache, or made by ``make`` in a mounted snapshot of the stage; nothing stays of a failure.

        ``inputs`` are all that the result depends on besides the layers below.
        """
        cache = self.build.services.cache
        key = key_of(self.state.chain, *inputs)
        async with cache.lock(key):
            options = self.build.options
            fresh = options.no_cache or (self.name and self.name in options.no_cache_filter)
            record = None if fresh else cache.find(key)
            if record is not None and not self.build.may_reuse((*self.state.chain, record.chain_id)):
                record = None
            self.cached = record is not None
            if record is None:
                layer = await self._make(make, init)
                parent = self.state.chain[-1] if self.state.chain else ""
                record = cache.put(key, created_by, parent, layer)
        self.build.records[key] = record
        self.state.note(created_by, record.layer(), record.created)

    async def _make(self, make: Callable[[Path], Awaitable[None]], init: bool) -> LayerInfo:
        snapshots = self.build.services.snapshots
        key = f"build-{new_id()[:24]}"
        await snapshots.prepare(key, self.state.chain, init=init)
        try:
            await make(await snapshots.mount(key))
            faults.point("build: made")
            await snapshots.unmount(key)
            return await snapshots.commit(key, keep=False)
        finally:
            await asyncio.shield(snapshots.remove(key))

    # files

    async def copy(self, created_by: str, spec: CopySpec, source: str, inline: Sequence[Inline] = (),
                   unpack: bool | None = None) -> None:
        """COPY and ADD: the files of ``spec`` from a stage or image (``source``) or, with "", the context.

        ``unpack``: None never looks at archives; True unpacks local ones into the destination.
        """
        digest = await self.fingerprint(spec, source) if spec.sources else ""
        extra = [f"{item.name}={Tree('/').digest(item.path).hex()}" for item in inline]

        tree = await self.build.tree(source) if spec.sources else None

        def make(root: Path) -> None:
            chosen = copyfiles.select(tree, spec) if tree is not None else []
            chosen += [Source(item.path, item.name, False) for item in inline]
            copier = Copier(spec, str(root))
            for one in chosen:
                if unpack and not one.directory and is_archive(one.path):
                    owner = copier.named_owner
                    unpack_archive(one.path, copier.make_dirs(spec.destination), owner)
                else:
                    copier.copy([one])

        await self.layer(created_by, ("FILES", spec.describe(), digest, repr(extra), repr(unpack)), make)

    async def fingerprint(self, spec: CopySpec, source: str) -> str:
        """The digest of what will be copied. Of a chain of layers it is remembered; the context's is computed."""
        cache = self.build.services.cache
        chain = self.build.chain_of(source) if source else None
        memo = key_of(chain, repr(spec.sources), spec.describe()) if chain is not None else ""
        if memo and (found := cache.source(memo)) is not None:
            return found
        tree = await self.build.tree(source)
        digest = await asyncio.to_thread(lambda: copyfiles.fingerprint(tree, copyfiles.select(tree, spec), spec))
        if memo:
            cache.put_source(memo, digest)
        return digest

    def inline(self, name: str, data: bytes, mode: int = 0o644, modified: float = 0) -> Inline:
        """A heredoc as a file of the build's own directory."""
        folder = self.build.scratch / f"inline-{new_id()[:12]}"
        folder.mkdir()
        path = folder / "data"
        path.write_bytes(data)
        path.chmod(mode)
        os.utime(path, (modified, modified))
        return Inline(name, str(path))
