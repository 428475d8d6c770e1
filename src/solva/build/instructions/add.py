"""ADD [--chown --chmod --checksum --link --exclude --unpack --keep-git-dir] source … destination

As COPY from the context; a local tar is unpacked, a URL fetched. A Git repository is not.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import flags_of, switch
from solva.build.instructions.copy import Files, parse_files

if TYPE_CHECKING:
    from solva.build.stage import Inline, Stage

_GIT = re.compile(r"(git://|git@|ssh://)|https?://[^#?]*\.git(#|\?|\Z)")


@dataclass(frozen=True, slots=True)
class Add:
    """``unpack``: None is the default, archives of the context yes, downloads no."""

    files: Files
    checksum: str
    unpack: bool | None
    sources: tuple[str, ...] = ()

    @property
    def node(self) -> Node:
        return self.files.node

    async def apply(self, stage: Stage) -> None:
        node = self.node
        words = tuple(stage.expand(node, path) for path in self.files.paths)
        git = [word for word in words if _GIT.match(word)]
        if git:
            raise node.error(f"ADD from a Git repository is not supported: {git[0]}: clone it into the build context")
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
    return Add(parse_files(node, found), found.get("checksum", [""])[0], unpack)
