"""``watch``: changed sources are copied into containers, or make them anew."""

from __future__ import annotations

import sys
import threading

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.observe import Container
    from solva.compose.project import Project


def watch(app: App, options: Options) -> int:
    from solva.cli.commands.compose.up import COMMANDS as UP
    from solva.cli.commands.compose.up import converge, narrowed
    from solva.cli.flags import parse

    up = parse(UP["up"], ["--quiet-build"] * options.on("quiet") + options.args)
    project = narrowed(app, up)
    watcher = Watcher(app, project, _say, prune=options.on("prune"), quiet=options.on("quiet"))
    if not options.on("no-up"):
        converge(app, up, project, start=True)
    if app.dry_run:
        return 0
    watcher.start()
    try:
        watcher.ended.wait()
    except KeyboardInterrupt:
        watcher.stop()
        _say("Watch disabled")
        return 130
    if watcher.error is not None:
        raise watcher.error
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Watcher:
    """Applies the project's rules to what changes under their paths, in a thread of its own."""

    def __init__(self, app: App, project: Project, say: Callable[[str], None], *, prune: bool = True,
                 quiet: bool = False) -> None:
        from solva.compose.load.options import warn
        from solva.compose.watch import rules

        self.app = app
        self.project = project
        self.say = say
        self.prune = prune
        self.quiet = quiet
        self.rules = rules(project, warn)
        self.stopping = threading.Event()
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def start(self) -> None:
        """Initial syncs, then watching, which is on when this returns."""
        for rule in self.rules:
            if rule.initial and rule.syncs:
                self.sync(rule.service, {rule.destination(path): path for path in rule.initial_files()})
        ready = threading.Event()
        threading.Thread(target=self.loop, args=(ready,), daemon=True).start()
        ready.wait()
        self.say("Watch enabled")

    def stop(self) -> None:
        """No more changes are looked at; what is being done is done."""
        self.stopping.set()
        self.ended.wait(30)

    def loop(self, ready: threading.Event) -> None:
        import watchfiles

        paths = sorted({rule.path for rule in self.rules})
        try:
            # The first, empty answer says that every watch is set.
            for found in watchfiles.watch(*paths, stop_event=self.stopping, debounce=400, step=50, rust_timeout=100,
                                          yield_on_timeout=True, raise_interrupt=False, watch_filter=None):
                if not ready.is_set():
                    ready.set()
                if found:
                    self.handle({path for _, path in found})
        except BaseException as error:
            self.error = error
            self.say(f"Watch disabled: {error}")
        finally:
            ready.set()
            self.app.api.hang_up()
            self.ended.set()

    def handle(self, paths: set[str]) -> None:
        """What one batch of changes asks for; a failure is told and the watch goes on."""
        from solva.compose.watch import batch
        from solva.errors import SolvaError

        try:
            wanted = batch(self.rules, paths)
            if wanted.rebuild:
                self.rebuild(list(wanted.rebuild))
            for service, copies in wanted.copies.items():
                self.say(f'Syncing service "{service}" after {len(copies)} changes were detected')
                self.sync(service, copies)
            if wanted.restart:
                self.restart(list(wanted.restart))
            for service, rules in wanted.hooks.items():
                for _, rule in sorted(rules.items()):
                    self.execute(service, rule.hook)
        except (SolvaError, OSError) as error:
            self.say(f"Error handling changed files: {error}")

    def containers(self, service: str, *, every: bool = True) -> list[Container]:
        from solva.compose import observe

        return [item for item in observe.containers(self.app.api, self.project.name, every=every)
                if item.service == service and not item.one_off]

    def sync(self, service: str, copies: dict[str, str]) -> None:
        """Copy into every container of ``service``; what is gone here is removed there."""
        from solva.compose.watch import archive

        data, gone = archive(copies)
        for item in self.containers(service):
            if len(gone) < len(copies):
                self.app.api.json("PUT", f"/containers/{item.id}/archive", query={"path": "/"}, body=data,
                                  headers={"Content-Type": "application/x-tar"})
            if gone and item.running:
                self.command(item, {"command": ["rm", "-rf", "--", *gone]})

    def command(self, item: Container, hook: dict[str, Any]) -> None:
        from solva.compose.execute import execute
        from solva.compose.plan import Op, Plan
        from solva.compose.progress import Progress

        op = Op(f"exec in {item.name}", "POST", f"/containers/{item.id}/exec", kind="hook", body=hook)
        progress = Progress("plain")
        progress.log = lambda subject, line: self.say(f"{subject}  | {line}")  # type: ignore[method-assign]
        execute(Plan([op]), self.app.api, progress)

    def execute(self, service: str, hook: dict[str, Any]) -> None:
        """``sync+exec``'s command in every container of ``service``."""
        for item in self.containers(service, every=False):
            self.command(item, hook)

    def restart(self, services: list[str]) -> None:
        for service in services:
            for item in self.containers(service):
                self.app.api.json("POST", f"/containers/{item.id}/restart")
        self.say(f"service(s) {_quoted(services)} restarted")

    def rebuild(self, services: list[str]) -> None:
        """Build, and put new containers in the place of the old ones."""
        from solva.compose import observe
        from solva.compose.building import BuildOptions
        from solva.compose.images import ImageOptions, plan_images
        from solva.compose.plan import Plan
        from solva.compose.reconcile import UpOptions, reconcile

        self.say(f"Rebuilding service(s) {_quoted(services)} after changes were detected...")
        chosen = {name: self.project.services[name] for name in services}
        part = self.project.replace(services=chosen)
        before = observe.images(self.app.api, part)
        options = ImageOptions(build=True, building=BuildOptions(quiet=self.quiet))
        self.app.run(Plan(plan_images(part, before, options)))
        self.say(f"service(s) {_quoted(services)} successfully built")
        observed = observe.observe(self.app.api, self.project)
        self.app.run(reconcile(self.project, observed, UpOptions(recreate="force", recreate_dependencies="never",
                                                                 named=services)))
        if self.prune:
            self.prune_images(before, observed.images)

    def prune_images(self, before: dict[str, str], after: dict[str, str]) -> None:
        """Remove the images that the new ones replaced, where nothing else has them."""
        from solva.errors import SolvaError

        for reference, identifier in before.items():
            if identifier and identifier != after.get(reference):
                try:
                    self.app.api.json("DELETE", f"/images/{identifier}")
                except SolvaError:
                    continue        # tagged otherwise, or of a container


def _quoted(names: list[str]) -> str:
    return "[" + " ".join(f'"{name}"' for name in names) + "]"


COMMANDS = {"watch": verb(
    "watch", "[SERVICE...]", "Watch build context for service and rebuild/refresh containers when files are updated",
    watch, Flag("no-up", "", "bool", "Do not build & start services before watching"),
    Flag("prune", "", "bool", "Prune dangling images on rebuild", default=True),
    Flag("quiet", "", "bool", "hide build output"))}
