"""WORKDIR /path: made when it is missing, in a layer of its own as BuildKit does"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import exactly_one

if TYPE_CHECKING:
    from solva.build.stage import Stage


@dataclass(frozen=True, slots=True)
class Workdir:
    """The working directory of what follows; relative to the one before."""

    node: Node
    path: str
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        from solva.build import rootpath, users

        path = stage.expand(self.node, self.path)
        absolute = posixpath.normpath(posixpath.join("/", stage.state.workdir, path))
        absolute = "/" + absolute.lstrip("/")
        stage.state.config["WorkingDir"] = absolute
        if absolute == "/":
            stage.state.note(f"WORKDIR {absolute}")
            return
        user = stage.state.config.get("User") or ""

        def make(root: Path) -> None:
            uid, gid = users.lookup(str(root), user) if user else (0, 0)
            rootpath.make_dirs(str(root), absolute, uid, gid)

        await stage.layer(f"WORKDIR {absolute}", ("WORKDIR", absolute, user), make)


def parse(node: Node) -> Workdir:
    return Workdir(node, exactly_one(node))
