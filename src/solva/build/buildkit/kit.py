"""BuildKit's side of the engine: made at the first of its clients, for it imports gRPC and protobuf (some 60 ms)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from solva.build.builder import Builder
from solva.build.buildkit.exporters import Exporters, Store
from solva.build.buildkit.services import Control, Gateway
from solva.build.buildkit.sessions import Sessions
from solva.build.buildkit.solver import Solver
from solva.build.platforms import host_platform, split_platform
from solva.buildkit.transport import serve

if TYPE_CHECKING:
    from solva.api.streams import RawStream
    from solva.build.collaborators import Snapshots


class BuildKit:
    """One an engine. ``root`` is the builds' directory; ``images`` the image store."""

    def __init__(self, root: Path, builder: Builder, snapshots: Snapshots, images: Any) -> None:
        scratch = root / "tmp"
        scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._sessions = Sessions(scratch)
        exporters = Exporters(builder, snapshots, cast(Store, images))
        self._solver = Solver(root / "contexts", scratch, builder, self._sessions, exporters)
        control = Control(self._solver, "solva", split_platform(host_platform()))
        self._services = (control, Gateway(self._solver, control.worker))

    async def session(self, stream: RawStream, headers: Mapping[str, str], methods: list[str]) -> None:
        """A client's session, until it ends. ``methods``: what it can be asked, as gRPC paths."""
        await self._sessions.serve(stream, headers, methods)

    async def control(self, stream: RawStream) -> None:
        """A client's calls, until it ends."""
        await serve(stream, self._services)
