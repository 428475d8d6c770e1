"""``logs``: containers' output with a coloured prefix a container."""

from __future__ import annotations

import os
import sys
import threading

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.client.transport import Transport
    from solva.compose.observe import Container
    from solva.compose.project import Project

_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class Printer:
    """Whole lines of several containers to standard output, each behind its name."""

    def __init__(self, names: list[str], *, prefix: bool = True, colour: bool = False) -> None:
        self.prefix = prefix
        self.colour = colour
        self.lock = threading.Lock()
        self.names: dict[str, str] = {}
        self.footer: Callable[[], str] | None = None
        self.width = max((len(name) for name in names), default=0)
        for name in names:
            self.label(name)

    def label(self, name: str) -> str:
        if name not in self.names:
            text = f"{name.ljust(self.width)}  | "
            if self.colour:
                text = f"\x1b[{_COLOURS[len(self.names) % len(_COLOURS)]}m{text}\x1b[0m"
            self.names[name] = text
        return self.names[name]

    def line(self, name: str, data: bytes) -> None:
        head = self.label(name).encode() if self.prefix else b""
        self.write(head + data + b"\n")

    def notice(self, text: str) -> None:
        """A line that is nobody's output."""
        self.write(text.encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Whole lines, above the footer where there is one."""
        with self.lock:
            out = sys.stdout.buffer
            if self.footer is not None:
                data = b"\r\x1b[2K" + data + self.footer().encode()
            try:
                out.write(data)
                out.flush()
            except BrokenPipeError:
                # Whoever read our output has gone, as in `compose logs -f | head`.
                os._exit(141)

    def redraw(self) -> None:
        """The footer anew."""
        if self.footer is not None:
            self.write(b"")


class Lines:
    """Docker's frames (or a terminal's raw bytes) to lines."""

    def __init__(self, printer: Printer, name: str, tty: bool) -> None:
        self.printer = printer
        self.name = name
        self.tty = tty
        self.buffer = b""
        self.rest = {1: b"", 2: b""}

    def feed(self, data: bytes) -> None:
        if self.tty:
            self.text(1, data)
            return
        self.buffer += data
        while len(self.buffer) >= 8:
            size = int.from_bytes(self.buffer[4:8], "big")
            if len(self.buffer) < 8 + size:
                return
            self.text(2 if self.buffer[0] == 2 else 1, self.buffer[8: 8 + size])
            self.buffer = self.buffer[8 + size:]

    def text(self, stream: int, data: bytes) -> None:
        *whole, self.rest[stream] = (self.rest[stream] + data).split(b"\n")
        for line in whole:
            self.printer.line(self.name, line.rstrip(b"\r"))

    def end(self) -> None:
        for rest in self.rest.values():
            if rest:
                self.printer.line(self.name, rest)


def short(container: Container, project: str) -> str:
    """``db-1`` of ``p-db-1``."""
    return container.name.removeprefix(f"{project}-")


def copy(api: Transport, container: str, printer: Printer, name: str, query: dict[str, Any]) -> None:
    """The log of the container with that id to ``printer`` until it ends; one that has gone ends it too."""
    from solva.client.transport import EngineUnreachable
    from solva.errors import NotFound

    try:
        tty = bool(api.json("GET", f"/containers/{container}/json")["Config"].get("Tty"))
        lines = Lines(printer, name, tty)
        with api.request("GET", f"/containers/{container}/logs", query={"stdout": True, "stderr": True, **query}) \
                as response:
            for data in response.chunks():
                lines.feed(data)
        lines.end()
    except NotFound:
        pass
    except EngineUnreachable as error:
        if threading.current_thread() is threading.main_thread():
            raise
        sys.stderr.write(f"{name}: {error}\n")


def logs(app: App, options: Options) -> int:
    project = app.project_or_name(options.args)
    found = app.containers(project, options.args)
    index = options.number("index")
    if index:
        found = [item for item in found if item.number == index]
    tail = options.text("tail")
    query = {"follow": options.on("follow") or None, "timestamps": options.on("timestamps") or None,
             "tail": tail or "all", "since": when(options.text("since")), "until": when(options.text("until"))}
    names = {item.id: short(item, project.name) for item in found}
    printer = Printer(list(names.values()), prefix=not options.on("no-log-prefix"),
                      colour=app.colour and not options.on("no-color"))
    if not options.on("follow"):
        for item in found:
            copy(app.api, item.id, printer, names[item.id], query)
        return 0
    _follow(app, project, found, printer, query, set(options.args), index)
    return 0


def _follow(app: App, project: Project, found: list[Container], printer: Printer, query: dict[str, Any],
            services: set[str], index: int) -> None:
    """Everybody's log, and that of whatever container starts meanwhile; until all have ended."""
    from solva.compose import labels
    from solva.errors import NotFound

    stream = app.api.request("GET", "/events", query={"filters": {
        "type": ["container"], "label": [f"{labels.PROJECT}={project.name}"], "event": ["start"]}})
    lock = threading.Condition()
    running = [0]

    def one(identifier: str, name: str, wanted: dict[str, Any]) -> None:
        try:
            copy(app.api, identifier, printer, name, wanted)
        finally:
            with lock:
                running[0] -= 1
                lock.notify_all()

    def begin(identifier: str, name: str, wanted: dict[str, Any]) -> None:
        with lock:
            running[0] += 1
        threading.Thread(target=one, args=(identifier, name, wanted), daemon=True).start()

    def listen() -> None:
        for event in stream.lines():
            known = (event.get("Actor") or {}).get("Attributes") or {}
            service = known.get(labels.SERVICE, "")
            number = known.get(labels.NUMBER, "")
            if known.get(labels.ONE_OFF) == "True" or (services and service not in services) or (
                    index and number != str(index)):
                continue
            identifier = event["Actor"]["ID"]
            try:
                started = began(app.api.json("GET", f"/containers/{identifier}/json"))
            except NotFound:
                continue
            begin(identifier, known.get("name", "").removeprefix(f"{project.name}-"),
                  {**query, "tail": "all", "since": started})

    for item in found:
        begin(item.id, short(item, project.name), query)
    threading.Thread(target=listen, daemon=True).start()
    with lock:
        while running[0]:
            lock.wait()


def began(data: dict[str, Any]) -> str | None:
    """When an inspected container was last started, as the API's ``since``."""
    stamp = data["State"].get("StartedAt") or ""
    if not stamp or stamp.startswith("0001"):
        return None
    from solva.clock import parse_rfc3339

    nanoseconds = parse_rfc3339(stamp)
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"


def when(text: str) -> str | None:
    """A time as the API wants it: relative ones (``10m``) from now."""
    if not text:
        return None
    from solva.compose.attributes.units import duration

    try:
        nanoseconds = duration(text)
    except ValueError:
        return text
    import time

    return f"{time.time() - nanoseconds / 1e9:.9f}"


COMMANDS = {"logs": verb(
    "logs", "[OPTIONS] [SERVICE...]", "View output from containers", logs,
    Flag("follow", "f", "bool", "Follow log output"),
    Flag("index", "", "int", "index of the container if service has multiple replicas"),
    Flag("no-color", "", "bool", "Produce monochrome output"),
    Flag("no-log-prefix", "", "bool", "Don't print prefix in logs"),
    Flag("since", "", "string", 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")'),
    Flag("tail", "n", "string", "Number of lines to show from the end of the logs for each container", default="all"),
    Flag("timestamps", "t", "bool", "Show timestamps"),
    Flag("until", "", "string", 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")'))}
