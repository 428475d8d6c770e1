"""``up`` without ``-d``: everybody's output until all have ended, or ^C; a second ^C kills."""

from __future__ import annotations

import sys
import threading

from solva.cli import posix
from solva.cli.commands.compose.logs import Printer, began, copy, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.commands.compose.app import App
    from solva.cli.flags import Options
    from solva.compose.observe import Container
    from solva.compose.project import Project

_GIVING_UP = "Gracefully Stopping... press Ctrl+C again to force\n"


def follow(app: App, project: Project, options: Options) -> int:
    """Stream logs, and end as the options say; the exit status."""
    attached = options.many("attach") or (list(project.services) if not options.args
                                          or options.on("attach-dependencies") else options.args)
    hidden = set(options.many("no-attach")) | {name for name, service in project.services.items()
                                               if service.get("attach") is False}
    for name in (*options.many("attach"), *options.many("no-attach")):
        if name not in project.services:
            from solva.compose.errors import ComposeError

            raise ComposeError(f"no such service: {name}")
    found = app.containers(project, project.services)
    shown = [item for item in found if item.service in attached and item.service not in hidden]
    sys.stderr.write("Attaching to " + ", ".join(short(item, project.name) for item in shown) + "\n")
    printer = Printer([short(item, project.name) for item in shown], prefix=not options.on("no-log-prefix"),
                      colour=app.colour and not options.on("no-color"))
    session = Session(app, project, options, printer, {name for name in attached if name not in hidden})
    posix.handle(posix.SIGTERM, posix.default_int_handler)
    session.begin(found)
    try:
        with _menu(app, options, session):
            session.finished.acquire()
    except KeyboardInterrupt:
        session.ending = True
        sys.stderr.write(_GIVING_UP)
        session.stop(found)
        return 130
    if session.detached:
        return 0
    if session.abort:
        sys.stderr.write("Aborting on container exit...\n")
        session.ending = True
        session.stop(found)
    return session.status


def give_up(app: App, project: Project, options: Options) -> None:
    """^C before everything had started: what did start is stopped, as it would be later."""
    found = app.containers(project, project.services, every=False)
    if found:
        sys.stderr.write(_GIVING_UP)
        Session(app, project, options, Printer([], prefix=False, colour=False), set()).stop(found)


def _menu(app: App, options: Options, session: Session) -> Any:
    from contextlib import nullcontext

    wanted = options.on("menu") if "menu" in options.changed else app.flag("COMPOSE_MENU")
    if options.on("watch"):
        session.toggle_watch()
    if not wanted or not (sys.stdin.isatty() and sys.stdout.isatty()) or app.ansi == "never":
        return nullcontext()
    from solva.cli.commands.compose.menu import Menu

    return Menu(session)


class Session:
    """Follows the containers by the engine's events: their starts, their ends, whatever made them."""

    def __init__(self, app: App, project: Project, options: Options, printer: Printer, shown: set[str]) -> None:
        self.app = app
        self.project = project
        self.options = options
        self.printer = printer
        self.shown = shown
        self.lock = threading.Lock()
        self.finished = threading.Semaphore(0)
        self.alive: set[str] = set()
        self.status = 0
        self.abort = self.detached = self.ending = False
        self.code_from = options.text("exit-code-from")
        self.on_exit = options.on("abort-on-container-exit")
        self.on_failure = options.on("abort-on-container-failure")
        self.watcher: Any = None

    def begin(self, found: list[Container]) -> None:
        """Subscribe, then look: nothing that happens in between is missed."""
        from solva.compose import labels

        query = {"filters": {"type": ["container"], "label": [f"{labels.PROJECT}={self.project.name}"],
                             "event": ["start", "die"]}}
        stream = self.app.api.request("GET", "/events", query=query)
        ended: list[tuple[Container, dict[str, Any]]] = []
        for item in found:
            data = self.app.api.json("GET", f"/containers/{item.id}/json")
            self.alive.add(item.id)
            self.attach(item.id, short(item, self.project.name), item.service, data)
            if data["State"].get("Status") in ("exited", "dead"):
                ended.append((item, data))
        threading.Thread(target=self.listen, args=(stream,), daemon=True).start()
        for item, data in ended:
            self.ended(item.id, short(item, self.project.name), item.service, int(data["State"].get("ExitCode", 0)))
        if not found:
            self.finished.release()

    def attach(self, identifier: str, name: str, service: str, data: dict[str, Any]) -> None:
        """Follow the log of one run of a container from its beginning."""
        if service not in self.shown:
            return
        query = {"follow": True, "tail": "all", "since": began(data),
                 "timestamps": self.options.on("timestamps") or None}
        threading.Thread(target=copy, args=(self.app.api, identifier, self.printer, name, query), daemon=True).start()

    def listen(self, stream: Any) -> None:
        from solva.compose import labels
        from solva.errors import SolvaError

        try:
            for event in stream.lines():
                actor = event.get("Actor") or {}
                known = actor.get("Attributes") or {}
                service = known.get(labels.SERVICE, "")
                if service not in self.project.services or known.get(labels.ONE_OFF) == "True" or labels.HOOK in known:
                    continue
                name = known.get("name", "").removeprefix(f"{self.project.name}-")
                if event.get("Action") == "start":
                    self.came(actor["ID"], name, service)
                else:
                    self.ended(actor["ID"], name, service, int(known.get("exitCode") or 0))
        except SolvaError as error:
            if not self.ending:
                sys.stderr.write(f"{error}\n")
                self.status = 1
                self.finished.release()

    def came(self, identifier: str, name: str, service: str) -> None:
        from solva.errors import SolvaError

        try:
            data = self.app.api.json("GET", f"/containers/{identifier}/json")
        except SolvaError:
            return
        with self.lock:
            fresh = identifier not in self.alive or bool(data["State"].get("Running"))
            self.alive.add(identifier)
        if fresh:
            self.attach(identifier, name, service, data)

    def ended(self, identifier: str, name: str, service: str, code: int) -> None:
        """A run of a container is over; the session may be."""
        if self.comes_back(identifier):
            self.printer.notice(f"{name} exited with code {code} (restarting)")
            return
        self.printer.notice(f"{name} exited with code {code}")
        with self.lock:
            self.alive.discard(identifier)
            if self.code_from == service or (not self.code_from and not self.abort
                                             and (self.on_exit or (self.on_failure and code))):
                self.status = code
            if self.on_exit or (self.on_failure and code):
                self.abort = True
            if self.abort or (not self.alive and self.watcher is None):
                self.finished.release()

    def comes_back(self, identifier: str) -> bool:
        """Whether its restart policy, or somebody, starts it again."""
        from solva.errors import SolvaError

        try:
            state = self.app.api.json("GET", f"/containers/{identifier}/json")["State"]
        except SolvaError:
            return False
        return bool(state.get("Restarting") or state.get("Running"))

    def stop(self, found: list[Container]) -> None:
        """Stop everything in order; ^C meanwhile kills."""
        from solva.compose.plan import Draft
        from solva.compose.reconcile import stop_all

        draft = Draft()
        stop_all(draft, self.project, self.app.containers(self.project, self.project.services, every=False),
                 self.options.number("timeout") if "timeout" in self.options.changed else None)
        try:
            self.app.run(draft.plan())
        except KeyboardInterrupt:
            kill = Draft()
            for item in found:
                kill.add(f"kill {item.name}", "POST", f"/containers/{item.id}/kill", subject=f"Container {item.name}",
                         doing="Killing", done="Killed", lenient=("Conflict", "NotFound"))
            self.app.run(kill.plan())

    def detach(self) -> None:
        """Leave the containers running."""
        self.detached = self.ending = True
        self.finished.release()

    def toggle_watch(self) -> None:
        """Begin or end watching the sources."""
        from solva.cli.commands.compose.watch import Watcher

        if self.watcher is not None:
            self.watcher.stop()
            self.watcher = None
            self.printer.notice("Watch disabled")
            return
        self.watcher = Watcher(self.app, self.project, self.printer.notice)
        self.watcher.start()
