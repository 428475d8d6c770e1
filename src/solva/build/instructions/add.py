"""ADD [--chown --chmod --checksum --link --exclude --unpack --keep-git-dir] source … destination

As COPY from the context; a local tar is unpacked, a URL fetched, a Git repository too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.git import is_git
from solva.build.instructions.base import flags_of, switch
from solva.build.instructions.copy import Files, parse_files

if TYPE_CHECKING:
    from solva.build.stage import Inline, Stage

@dataclass(frozen=True, slots=True)
class Add:
    """``unpack``: None is the default, archives of the context yes, downloads no."""

    files: Files
    checksum: str
    unpack: bool | None
    keep_git: bool = False
    sources: tuple[str, ...] = ()

    @property
    def node(self) -> Node:
        return self.files.node

    async def apply(self, stage: Stage) -> None:
        node = self.node
        words = tuple(stage.expand(node, path) for path in self.files.paths)
        if any(is_git(word) for word in words):
            await self._repository(stage, words)
            return
        urls = [word for word in words if word.startswith(("http://", "https://"))]
        local = tuple(word for word in words if word not in urls)
        checksum = stage.expand(node, self.checksum)
        if checksum and (local or len(urls) != 1):
            raise node.error("checksum requires HTTP(S) or Git sources" if local else
                             "checksum can't be specified for multiple sources")
        spec = self.files.spec(stage, words)
        created_by = self.files.created_by(stage, spec, words)
        inline = self.files.inline(stage)
        inline += [await self._download(stage, url, checksum) for url in urls]
        unpack = self.unpack if self.unpack is not None else (not urls)
        await stage.copy(created_by, replace(spec, sources=local), "", inline, unpack)

    async def _repository(self, stage: Stage, words: tuple[str, ...]) -> None:
        """The files of a repository, as those of a directory."""
        from solva.build import git

        node = self.node
        if len(words) != 1:
            raise node.error("a Git repository must be the only source of an ADD")
        source = git.GitSource.parse(words[0])
        checksum = stage.expand(node, self.checksum).removeprefix("sha1:")
        source = replace(source, commit=checksum or source.commit, keep_git=self.keep_git or source.keep_git)
        name = await stage.build.repository(source)
        spec = self.files.spec(stage, ("/",))
        created_by = self.files.created_by(stage, spec, words)
        await stage.copy(created_by, replace(spec, destination=spec.destination.rstrip("/") + "/"), name)

    async def _download(self, stage: Stage, url: str, checksum: str) -> Inline:
        from solva.build.download import fetch

        name, data, modified = await fetch(url)
        if checksum:
            kind, _, digest = checksum.partition(":")
            if kind not in ("sha256", "sha384", "sha512") or not digest:
                raise self.node.error(f"invalid checksum digest format: {checksum}")
            actual = hashlib.new(kind, data).hexdigest()
            if actual != digest:
                raise self.node.error(f"digest mismatch {kind}:{actual}: {checksum}")
        return stage.inline(name, data, 0o600, modified)


def parse(node: Node) -> Add:
    found = flags_of(node, values=("chown", "chmod", "checksum"), switches=("link", "unpack", "keep-git-dir"),
                     several=("exclude",))
    unpack = switch(found, "unpack") if "unpack" in found else None
    return Add(parse_files(node, found), found.get("checksum", [""])[0], unpack, switch(found, "keep-git-dir"))
