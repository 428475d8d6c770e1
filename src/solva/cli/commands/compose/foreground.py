"""``up`` without ``-d``: everybody's output until all have ended, or ^C; a second ^C kills."""

from __future__ import annotations

import sys
import threading

from solva.cli import posix
from solva.cli.commands.compose.logs import Printer, copy, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.commands.compose.app import App
    from solva.cli.flags import Options
    from solva.compose.observe import Container
    from solva.compose.project import Project


def follow(app: App, project: Project, options: Options) -> int:
    """Stream logs, and end as the options say; the exit status."""
    wanted = options.many("attach") or (list(project.services) if not options.args or options.on("attach-dependencies")
                                        else options.args)
    hidden = set(options.many("no-attach")) | {name for name, service in project.services.items()
                                               if service.get("attach") is False}
    found = app.containers(project, project.services)
    shown = [item for item in found if item.service in wanted and item.service not in hidden]
    names = {item.id: short(item, project.name) for item in found}
    sys.stderr.write("Attaching to " + ", ".join(names[item.id] for item in shown) + "\n")
    printer = Printer([names[item.id] for item in shown], prefix=not options.on("no-log-prefix"),
                      colour=app.colour and not options.on("no-color"))
    watch = _Watch(app, found, names, options)
    for item in found:
        threading.Thread(target=watch.one, args=(item,), daemon=True).start()
    query = {"follow": True, "tail": "all", "timestamps": options.on("timestamps") or None}
    for item in shown:
        threading.Thread(target=copy, args=(app.api, item, printer, names[item.id], query), daemon=True).start()
    posix.handle(posix.SIGTERM, posix.default_int_handler)
    try:
        watch.finished.acquire()
    except KeyboardInterrupt:
        sys.stderr.write("Gracefully Stopping... press Ctrl+C again to force\n")
        _stop(app, project, found, options)
        return 130
    if watch.abort:
        sys.stderr.write("Aborting on container exit...\n")
        _stop(app, project, found, options)
    return watch.status


class _Watch:
    """Waits for the ends of all containers."""

    def __init__(self, app: App, found: list[Container], names: dict[str, str], options: Options) -> None:
        self.app = app
        self.names = names
        self.left = len(found)
        self.lock = threading.Lock()
        self.finished = threading.Semaphore(0)
        self.status = 0
        self.abort = False
        self.code_from = options.text("exit-code-from")
        self.on_exit = options.on("abort-on-container-exit") or bool(self.code_from)
        self.on_failure = options.on("abort-on-container-failure")
        if not found:
            self.finished.release()

    def one(self, item: Container) -> None:
        answer = self.app.api.json("POST", f"/containers/{item.id}/wait", query={"condition": "not-running"})
        code = int(answer.get("StatusCode", 0))
        sys.stdout.write(f"{self.names[item.id]} exited with code {code}\n")
        sys.stdout.flush()
        with self.lock:
            self.left -= 1
            if self.code_from == item.service or (not self.code_from and not self.abort
                                                  and (self.on_exit or self.on_failure)):
                self.status = code
            if self.on_exit or (self.on_failure and code):
                self.abort = True
            if self.left == 0 or self.abort:
                self.finished.release()


def _stop(app: App, project: Project, found: list[Container], options: Options) -> None:
    from solva.compose.execute import execute
    from solva.compose.plan import Draft
    from solva.compose.reconcile import stop_all

    draft = Draft()
    stop_all(draft, project, app.containers(project, project.services, every=False),
             options.number("timeout") if "timeout" in options.changed else None)
    try:
        execute(draft.plan(), app.api, app.progress(), parallel=app.parallel)
    except KeyboardInterrupt:
        kill = Draft()
        for item in found:
            kill.add(f"kill {item.name}", "POST", f"/containers/{item.id}/kill", subject=f"Container {item.name}",
                     doing="Killing", done="Killed", lenient=("Conflict", "NotFound"))
        execute(kill.plan(), app.api, app.progress(), parallel=app.parallel)
