"""What a build needs of the rest of the engine; fulfilled by snapshots, images and containers (and by fakes)."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from solva.containers.steps import StepMount as StepMount
from solva.containers.steps import StepSpec as StepSpec
from solva.snapshots.layers import LayerInfo

Progress = Callable[[dict[str, Any]], None]


class Snapshots(Protocol):
    """Writable file systems over chains of layers (``snapshots.Snapshotter``)."""

    async def prepare(self, key: str, parents: tuple[str, ...], *, init: bool = True) -> None: ...
    async def mount(self, key: str) -> Path: ...
    async def unmount(self, key: str) -> None: ...
    async def remove(self, key: str) -> None: ...
    async def commit(self, key: str, *, keep: bool = True) -> LayerInfo: ...


class BaseImage(Protocol):
    """An image as ``ImageService.resolve`` gives it; ``config`` is the OCI image configuration."""

    @property
    def id(self) -> str: ...
    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def chain(self) -> tuple[str, ...]: ...


class Images(Protocol):
    """The image store (``images.ImageService``)."""

    def resolve(self, ref: str) -> BaseImage: ...
    async def pull(self, ref: str, *, platform: str, auth: Any, progress: Progress) -> BaseImage: ...
    async def create(self, config: dict[str, Any], layers: Sequence[LayerInfo], parent: str,
                     tags: Sequence[str]) -> BaseImage: ...
    def diffs(self, chain: str) -> list[str]: ...
    def adopt(self, diff_ids: Sequence[str]) -> tuple[str, ...] | None: ...


class StepRunner(Protocol):
    """Runs one process in a root file system until it ends (``containers.StepRunner``)."""

    async def run(self, spec: StepSpec) -> int:
        """The exit code (128 + n for signal n). Cancelled: the process and all it started are gone afterwards."""
        ...


class ClientSession(Protocol):
    """What a build may ask of the client that wants it."""

    async def secret(self, identifier: str) -> bytes | None:
        """A secret's content; None when the client has none of that id."""
        ...

    def ssh(self, identifier: str) -> AbstractAsyncContextManager[Path] | None:
        """A socket (a path) behind which the client's ssh agent answers; None where there is none."""
        ...

    async def credentials(self, host: str) -> tuple[str, str] | None:
        """User and password (or token) for a registry."""
        ...


class NoSession:
    """A client that cannot be asked: classic builds."""

    async def secret(self, identifier: str) -> bytes | None:
        return None

    def ssh(self, identifier: str) -> AbstractAsyncContextManager[Path] | None:
        return None

    async def credentials(self, host: str) -> tuple[str, str] | None:
        return None
