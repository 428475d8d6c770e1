"""How a BuildKit build is shown: live on a terminal, line by line elsewhere, or as JSON. And where the time went."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass, field

from solva.cli.output.progress import printable
from solva.cli.output.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

_LINES = 6          # of a running step's output, on a terminal
_TICK = 0.1
_BLUE, _RED, _DIM, _OFF = "\x1b[34m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


@dataclass(slots=True)
class Step:
    """One vertex as it stands. Times are seconds of the engine's clock."""

    number: int
    name: str
    started: float = 0.0
    completed: float = 0.0
    cached: bool = False
    error: str = ""
    log: list[str] = field(default_factory=list)
    partial: str = ""
    transfers: dict[str, Any] = field(default_factory=dict)
    told: str = ""      # what a line-by-line view has said of it: nothing, "begun" or "ended"

    def seconds(self, now: float) -> float:
        return max(0.0, (self.completed or now) - self.started) if self.started else 0.0

    @property
    def internal(self) -> bool:
        return "internal]" in self.name or self.name.startswith("exporting")


class Steps:
    """What the messages of a build come to."""

    def __init__(self) -> None:
        self.all: dict[str, Step] = {}
        self.warnings: list[str] = []

    def take(self, message: Any) -> list[tuple[Step, str]]:
        """Take in one StatusResponse; what is new, as lines of their steps."""
        lines: list[tuple[Step, str]] = []
        for vertex in message.vertexes:
            step = self.all.get(vertex.digest)
            if step is None:
                step = self.all[vertex.digest] = Step(len(self.all) + 1, printable(vertex.name))
            step.cached |= vertex.cached
            if vertex.HasField("started"):
                step.started = vertex.started.ToNanoseconds() / 1e9
            if vertex.HasField("completed"):
                step.completed = vertex.completed.ToNanoseconds() / 1e9
            step.error = vertex.error or step.error
        for status in message.statuses:
            step = self.all.get(status.vertex)
            if step is not None:
                before = step.transfers.get(status.id)
                step.transfers[status.id] = status
                if status.HasField("completed") and not (before is not None and before.HasField("completed")):
                    lines.append((step, _transfer(status)))
        for log in message.logs:
            step = self.all.get(log.vertex)
            if step is not None:
                lines += [(step, text) for text in _log(step, log)]
        for warning in message.warnings:
            self.warnings.append(printable(warning.short.decode("utf-8", "replace")))
        return lines

    def summary(self) -> str:
        """How much came from the cache, and what took longest."""
        steps = [step for step in self.all.values() if step.completed and not step.internal]
        if not steps:
            return ""
        cached = sum(step.cached for step in steps)
        slow = sorted((step for step in steps if not step.cached and step.seconds(0) >= 0.05),
                      key=lambda step: -step.seconds(0))[:3]
        text = f"{len(steps)} step{'s' if len(steps) != 1 else ''}, {cached} cached"
        if slow:
            text += "; longest: " + ", ".join(f"{_short(step.name)} {step.seconds(0):.1f}s" for step in slow)
        return text


def _short(name: str) -> str:
    text = name.partition("] ")[2] or name
    return text if len(text) <= 40 else text[:39] + "…"


def _transfer(status: Any) -> str:
    text = printable(status.id)
    if status.total:
        text += f" {human_size(status.current)} / {human_size(status.total)}"
    elif status.current:
        text += f" {human_size(status.current)}"
    return text + (" done" if status.HasField("completed") else "")


def _log(step: Step, log: Any) -> list[str]:
    """The whole lines that a piece of output completes, each with its time."""
    at = log.timestamp.ToNanoseconds() / 1e9 - step.started
    *whole, step.partial = (step.partial + log.msg.decode("utf-8", "replace")).split("\n")
    found = [f"{at:.3f} {printable(line.rpartition(chr(13))[2] or line)}" for line in whole]
    step.log += found
    return found


class Plain:
    """Line by line, each step's under its number."""

    def __init__(self, out: TextIO) -> None:
        self.steps = Steps()
        self._out = out
        self._last = 0

    def show(self, message: Any) -> None:
        lines = self.steps.take(message)
        for step in self.steps.all.values():
            if step.started and not step.told and not step.completed:
                self._head(step)
        for step, text in lines:
            self._line(step, text)
        for step in list(self.steps.all.values()):
            if step.completed and step.told != "ended":
                self._end(step)
        self._out.flush()

    def _head(self, step: Step) -> None:
        if self._last and self._last != step.number:
            self._out.write("\n")
        self._out.write(f"#{step.number} {step.name}\n")
        step.told = step.told or "begun"
        self._last = step.number

    def _line(self, step: Step, text: str) -> None:
        if not step.told:
            self._head(step)
        elif self._last != step.number:
            self._out.write(f"\n#{step.number} {step.name}\n")
            self._last = step.number
        self._out.write(f"#{step.number} {text}\n")

    def _end(self, step: Step) -> None:
        if step.partial:
            rest, step.partial = f"{step.seconds(0):.3f} {printable(step.partial)}", ""
            step.log.append(rest)
            self._line(step, rest)
        what = f"ERROR: {step.error}" if step.error else "CACHED" if step.cached else f"DONE {step.seconds(0):.1f}s"
        self._line(step, what)
        step.told = "ended"

    def close(self, failed: bool) -> None:
        _ending(self._out, self.steps, failed)


class Live:
    """Redrawn in place, with clocks that run and the last lines of what runs."""

    def __init__(self, out: TextIO) -> None:
        self.steps = Steps()
        self._out = out
        self._lock = threading.Lock()
        self._began = time.time()
        self._height = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, message: Any) -> None:
        with self._lock:
            self.steps.take(message)

    def _run(self) -> None:
        while not self._done.wait(_TICK):
            self._draw()

    def _draw(self, last: bool = False) -> None:
        with self._lock:
            width, height = os.get_terminal_size(self._out.fileno())
            width, height = width or 80, height or 24
            rows = self._rows(width)
            if not last and len(rows) > height - 1:
                rows = [rows[0], *rows[-(height - 2):]]
            up = f"\x1b[{self._height}A" if self._height else ""
            self._out.write(up + "\r\x1b[J" + "\n".join(rows) + "\n")
            self._out.flush()
            self._height = len(rows)

    def _rows(self, width: int) -> list[str]:
        now = time.time()
        steps = list(self.steps.all.values())
        done = sum(bool(step.completed) for step in steps)
        state = " FINISHED" if self._done.is_set() else ""
        rows = [f"[+] Building {now - self._began:.1f}s ({done}/{len(steps)}){state}"]
        for step in steps:
            if not step.started:
                continue
            name = ("ERROR " if step.error else "CACHED " if step.cached else "") + step.name
            clock = f"{step.seconds(now):.1f}s"
            room = max(10, width - len(clock) - 5)
            colour = _RED if step.error else _BLUE if step.completed else ""
            rows.append(f"{colour} => {name[:room].ljust(room)}{clock}{_OFF if colour else ''}")
            if not step.completed:
                rows += [f" => => {_transfer(status)}"[:width - 1] for status in step.transfers.values()
                         if not status.HasField("completed")]
                rows += [f"{_DIM} => => # {line.partition(' ')[2]}"[:width - 1] + _OFF for line in step.log[-_LINES:]]
        return rows

    def close(self, failed: bool) -> None:
        self._done.set()
        self._thread.join()
        self._draw(last=True)
        _ending(self._out, self.steps, failed)


class Json:
    """BuildKit's own status objects, one a line."""

    def __init__(self, out: TextIO) -> None:
        self.steps = Steps()
        self._out = out

    def show(self, message: Any) -> None:
        from google.protobuf.json_format import MessageToDict

        from solva.cli.output.gojson import compact

        self.steps.take(message)
        self._out.write(compact(MessageToDict(message, preserving_proto_field_name=True)) + "\n")
        self._out.flush()

    def close(self, failed: bool) -> None:
        return


class Quiet:
    """Nothing, unless it fails: then all of it."""

    def __init__(self, out: TextIO) -> None:
        import io

        self._told = io.StringIO()
        self._inner = Plain(self._told)
        self._out = out
        self.steps = self._inner.steps

    def show(self, message: Any) -> None:
        self._inner.show(message)

    def close(self, failed: bool) -> None:
        if failed:
            self._inner.close(True)
            self._out.write(self._told.getvalue())


def view(mode: str, quiet: bool) -> Any:
    """The view for ``--progress``: on standard error, as Docker's. ``auto`` is live on a terminal."""
    out = sys.stderr
    if quiet or mode == "quiet":
        return Quiet(out)
    if mode == "rawjson":
        return Json(out)
    if mode == "tty" and not out.isatty():
        from solva.cli.errors import CommandError

        raise CommandError("failed to get console: provided file is not a console")
    live = mode == "tty" or (mode == "auto" and out.isatty())
    return Live(out) if live else Plain(out)


def _ending(out: TextIO, steps: Steps, failed: bool) -> None:
    if failed:
        for step in steps.all.values():
            if step.error and "cancel" not in step.error:
                log = "".join(f"{line}\n" for line in step.log[-20:])
                out.write(f"------\n > {step.name}:\n{log}------\n")
    elif text := steps.summary():
        out.write(f"\n{text}\n")
    if steps.warnings:
        count = len(steps.warnings)
        out.write(f"\n {count} warning{'s' if count > 1 else ''} found:\n"
                  + "".join(f" - {text}\n" for text in steps.warnings))
    out.flush()
