"""The build's progress as classic builds show it: Docker's JSON lines. Stages that run at the same time never mix
their lines: the first one that has not ended is shown live, the others wait."""

from __future__ import annotations

import codecs
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from solva.build.dockerfile.ast import Node
    from solva.build.output import Progress


class ClassicOutput:
    """See ``Output``. ``quiet``: only ``always`` is heard."""

    def __init__(self, progress: Progress, quiet: bool) -> None:
        self._progress = progress
        self._quiet = quiet
        self._channels: list[ClassicChannel] = []
        self._total = 0
        self._step = 0
        self._findings: list[str] = []

    def start(self, total: int) -> None:
        self._total = total

    def channel(self, stage: str, index: int, nodes: list[Node]) -> ClassicChannel:
        channel = ClassicChannel(self)
        self._channels.append(channel)
        return channel

    def number(self) -> str:
        """``i/n`` of the step that begins."""
        self._step += 1
        return f"{self._step}/{self._total}"

    def line(self, text: str) -> None:
        """A line of the build itself."""
        if not self._quiet:
            self._progress({"stream": text + "\n"})

    def warn(self, text: str, line: int = 0) -> None:
        """What the file's lines are warned for is said at the end, where it is seen."""
        if line:
            self._findings.append(text)
        else:
            self.line(f"[Warning] {text}")

    def findings(self) -> None:
        """Say what was found in the file."""
        count = len(self._findings)
        if count:
            self.line(f"{count} warning{'s' if count > 1 else ''} found:")
            for text in self._findings:
                self.line(f" - {text}")

    def always(self, value: dict[str, Any]) -> None:
        """What even a quiet build says."""
        self._progress(value)

    def send(self, channel: ClassicChannel, value: dict[str, Any]) -> None:
        if self._quiet:
            return
        if self._channels and self._channels[0] is channel:
            self._progress(value)
        else:
            channel.held.append(value)

    def close(self, channel: ClassicChannel) -> None:
        """``channel`` has ended; the next one becomes live."""
        channel.closed = True
        while self._channels and self._channels[0].closed:
            self._channels.pop(0)
            if self._channels:
                for value in self._channels[0].held:
                    self._progress(value)
                self._channels[0].held.clear()

    def flush(self) -> None:
        for channel in self._channels:
            for value in channel.held:
                self._progress(value)
            channel.held.clear()


class ClassicChannel:
    """See ``Channel``."""

    def __init__(self, output: ClassicOutput) -> None:
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._error_decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._began = 0.0
        self.held: list[dict[str, Any]] = []
        self.closed = False

    def begin(self, node: Node) -> None:
        self._began = time.monotonic()
        self.line(f"Step {self._output.number()} : {node.original}")

    def end(self, fingerprint: str, *, cached: bool | None) -> None:
        if cached:
            self.line(" ---> Using cache")
        took = f" ({time.monotonic() - self._began:.2f}s)" if cached is False else ""
        self.line(f" ---> {fingerprint}{took}")

    def fail(self, message: str) -> None:
        """The error itself is the stream's last object."""

    def line(self, text: str) -> None:
        self._output.send(self, {"stream": text + "\n"})

    def warn(self, text: str) -> None:
        self.line(f"[Warning] {text}")

    def data(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        if text:
            self._output.send(self, {"stream": text})

    def error_data(self, data: bytes) -> None:
        """In red, as Docker's."""
        text = self._error_decoder.decode(data)
        if text:
            self._output.send(self, {"stream": f"\x1b[91m{text}\x1b[0m"})

    def status(self, value: dict[str, Any]) -> None:
        self._output.send(self, value)

    def close(self) -> None:
        self._output.close(self)
