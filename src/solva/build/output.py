"""The build's progress: Docker's JSON lines. Stages that run at the same time never mix their lines: the first one
that has not ended is shown live, the others wait."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

Progress = Callable[[dict[str, Any]], None]


class Output:
    """All of a build; ``channel`` gives the voices in the order in which they shall be heard."""

    def __init__(self, progress: Progress, quiet: bool) -> None:
        self._progress = progress
        self._quiet = quiet
        self._channels: list[Channel] = []

    def channel(self) -> Channel:
        channel = Channel(self)
        self._channels.append(channel)
        return channel

    def line(self, text: str) -> None:
        """A line of the build itself."""
        if not self._quiet:
            self._progress({"stream": text + "\n"})

    def always(self, value: dict[str, Any]) -> None:
        """What even a quiet build says."""
        self._progress(value)

    def send(self, channel: Channel, value: dict[str, Any]) -> None:
        if self._quiet:
            return
        if self._channels and self._channels[0] is channel:
            self._progress(value)
        else:
            channel.held.append(value)

    def close(self, channel: Channel) -> None:
        """``channel`` has ended; the next one becomes live."""
        channel.closed = True
        while self._channels and self._channels[0].closed:
            self._channels.pop(0)
            if self._channels:
                for value in self._channels[0].held:
                    self._progress(value)
                self._channels[0].held.clear()

    def flush(self) -> None:
        """All that is held back (the build has failed: a waiting stage's error must have its context)."""
        for channel in self._channels:
            for value in channel.held:
                self._progress(value)
            channel.held.clear()


class Channel:
    """One stage's voice."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.held: list[dict[str, Any]] = []
        self.closed = False

    def line(self, text: str) -> None:
        self._output.send(self, {"stream": text + "\n"})

    def data(self, data: bytes) -> None:
        """A RUN step's output."""
        text = self._decoder.decode(data)
        if text:
            self._output.send(self, {"stream": text})

    def status(self, value: dict[str, Any]) -> None:
        """A pull's progress."""
        self._output.send(self, value)

    def close(self) -> None:
        self._output.close(self)
