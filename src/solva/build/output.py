"""What a build tells while it runs: the contract of those who show it (``classic.py``, ``buildkit/status.py``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from solva.build.dockerfile.ast import Node

Progress = Callable[[dict[str, Any]], None]


class Channel(Protocol):
    """One stage's voice. ``begin`` and ``end`` (or ``fail``) enclose a step; what comes between belongs to it."""

    def begin(self, node: Node) -> None:
        """The next instruction begins."""
        ...

    def end(self, fingerprint: str, *, cached: bool | None) -> None:
        """It has ended; ``fingerprint`` stands for the state after it. ``cached`` None: there was nothing to cache."""
        ...

    def fail(self, message: str) -> None:
        """It has failed; ends the step."""
        ...

    def line(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def data(self, data: bytes) -> None:
        """A RUN step's output."""
        ...

    def error_data(self, data: bytes) -> None:
        """A RUN step's stderr."""
        ...

    def status(self, value: dict[str, Any]) -> None:
        """A pull's progress, an object of Docker's progress stream."""
        ...

    def close(self) -> None:
        """The stage has ended."""
        ...


class Output(Protocol):
    """All of a build."""

    def start(self, total: int) -> None:
        """``total`` steps will run."""
        ...

    def channel(self, stage: str, index: int, nodes: list[Node]) -> Channel:
        """The voice of a stage (its name, "" without one; its number), in the order in which they shall be heard.
        ``nodes`` are its instructions, FROM first."""
        ...

    def warn(self, text: str, line: int = 0) -> None:
        """``line`` of the Dockerfile, 0 where it is about none."""
        ...

    def flush(self) -> None:
        """The build has failed: say all that is held back."""
        ...
