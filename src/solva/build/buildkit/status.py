"""A build's progress as BuildKit's clients draw it: vertexes that begin and end, their logs and transfers. Everything
is kept until the build is forgotten, so that a client that asks late sees all of it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from solva.build.dockerfile.ast import Node
from solva.buildkit import wire_pb2 as wire

STDOUT = 1
_WITH_VERTEX = ("FROM", "RUN", "COPY", "ADD", "WORKDIR")     # the others only change the image's configuration


def _now() -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns())
    return stamp


class Journal:
    """All messages of one build."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._closed = False
        self._news = asyncio.Event()

    def add(self, **fields: Any) -> None:
        self._messages.append(wire.StatusResponse(**fields))
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def follow(self) -> AsyncIterator[Any]:
        """From the first message until the build has ended."""
        place = 0
        while True:
            while place < len(self._messages):
                yield self._messages[place]
                place += 1
            if self._closed:
                return
            self._news.clear()
            if place >= len(self._messages) and not self._closed:
                await self._news.wait()


class Vertex:
    """One thing that is done. Used as ``with``: an error that leaves it is its error."""

    def __init__(self, journal: Journal, name: str, key: str = "") -> None:
        self._journal = journal
        self._name = name
        self.digest = "sha256:" + hashlib.sha256(f"{id(journal)} {key or name}".encode()).hexdigest()
        self._started: Timestamp | None = None
        self._transfers: dict[str, Any] = {}

    def begin(self) -> Vertex:
        self._started = _now()
        self._put()
        return self

    def _put(self, **fields: Any) -> None:
        self._journal.add(vertexes=[wire.Vertex(digest=self.digest, name=self._name, started=self._started, **fields)])

    def end(self, *, cached: bool = False, error: str = "") -> None:
        for name in list(self._transfers):
            self.transfer(name, done=True)
        self._put(completed=_now(), cached=cached, error=error)

    def log(self, data: bytes) -> None:
        self._journal.add(logs=[wire.VertexLog(vertex=self.digest, timestamp=_now(), stream=STDOUT, msg=data)])

    def warn(self, text: str) -> None:
        self._journal.add(warnings=[wire.VertexWarning(vertex=self.digest, level=1, short=text.encode())])

    def transfer(self, name: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        """Something that is moved or written: ``transferring context``, a layer."""
        status = self._transfers.get(name)
        if status is None:
            status = self._transfers[name] = wire.VertexStatus(id=name, vertex=self.digest, started=_now())
        status.current = max(current, status.current)
        status.total = max(total, status.total)
        status.timestamp.CopyFrom(_now())
        if done:
            status.completed.CopyFrom(_now())
            del self._transfers[name]
        self._journal.add(statuses=[status])

    def __enter__(self) -> Vertex:
        return self.begin()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        text = "" if error is None else str(error) or type(error).__name__
        self.end(error=text.partition("\n")[0])


class StatusOutput:
    """See ``build.output.Output``."""

    def __init__(self, journal: Journal, definition: Vertex, filename: str, text: bytes) -> None:
        """``definition``: the vertex that has loaded the Dockerfile; warnings about it are its own."""
        self._journal = journal
        self._definition = definition
        self._source = wire.SourceInfo(filename=filename, data=text, language="Dockerfile")

    def start(self, total: int) -> None:
        return

    def channel(self, stage: str, index: int, nodes: list[Node]) -> StatusChannel:
        return StatusChannel(self._journal, stage or f"stage-{index}", nodes)

    def warn(self, text: str, line: int = 0) -> None:
        warning = wire.VertexWarning(vertex=self._definition.digest, level=1, short=text.encode())
        if line:
            warning.info.CopyFrom(self._source)
            warning.ranges.add(start=wire.Position(line=line), end=wire.Position(line=line))
        self._journal.add(warnings=[warning])

    def flush(self) -> None:
        return


class StatusChannel:
    """See ``build.output.Channel``: a vertex a step that does something."""

    def __init__(self, journal: Journal, stage: str, nodes: list[Node]) -> None:
        self._journal = journal
        self._stage = stage
        self._total = sum(node.name in _WITH_VERTEX for node in nodes)
        self._number = 0
        self._vertex: Vertex | None = None

    def begin(self, node: Node) -> None:
        self._vertex = None
        if node.name in _WITH_VERTEX:
            self._number += 1
            place = f"{self._number}/{self._total}".rjust(2 * len(str(self._total)) + 1)
            name = f"[{self._stage} {place}] {node.original}"
            self._vertex = Vertex(self._journal, name, f"{self._stage} {self._number}").begin()

    def end(self, fingerprint: str, *, cached: bool | None) -> None:
        if self._vertex is not None:
            self._vertex.end(cached=bool(cached))
            self._vertex = None

    def fail(self, message: str) -> None:
        if self._vertex is not None:
            self._vertex.end(error=message.partition("\n")[0])
            self._vertex = None

    def line(self, text: str) -> None:
        self.data(text.encode() + b"\n")

    def warn(self, text: str) -> None:
        if self._vertex is not None:
            self._vertex.warn(text)

    def data(self, data: bytes) -> None:
        if self._vertex is not None:
            self._vertex.log(data)

    def error_data(self, data: bytes) -> None:
        self.data(data)

    def status(self, value: dict[str, Any]) -> None:
        """A pull: layers by their ids."""
        identifier, detail = value.get("id", ""), value.get("progressDetail") or {}
        if self._vertex is None or not identifier or " " in identifier:
            return
        done = value.get("status") in ("Pull complete", "Already exists")
        if detail.get("current") is not None or done:
            self._vertex.transfer(identifier, detail.get("current", 0), detail.get("total", 0), done=done)

    def close(self) -> None:
        if self._vertex is not None:      # cancelled in the middle of a step
            self._vertex.end(error="context canceled")
            self._vertex = None
