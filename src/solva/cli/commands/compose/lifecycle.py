"""``start stop restart pause unpause kill rm``: one call for every container, in dependency order where it matters."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.observe import Container
    from solva.compose.plan import Plan


def _run(app: App, plan: Plan) -> int:
    app.run(plan)
    return 0


def _timeout(options: Options) -> int | None:
    return options.number("timeout") if "timeout" in options.changed else None


def stop(app: App, options: Options) -> int:
    from solva.compose.plan import Draft
    from solva.compose.reconcile import stop_all

    project = app.project_or_name(options.args)
    draft = Draft()
    stop_all(draft, project, app.containers(project, options.args, one_off=True), _timeout(options))
    return _run(app, draft.plan())


def start(app: App, options: Options) -> int:
    from solva.compose import observe
    from solva.compose.errors import ComposeError
    from solva.compose.load.pipeline import select
    from solva.compose.reconcile import UpOptions, reconcile

    project = app.project_or_name(options.args)
    found = app.containers(project, options.args)
    if not found:
        raise ComposeError(f'service "{options.args[0]}" has no container to start' if options.args
                           else f'no container found for project "{project.name}": not found')
    if not project.services:
        return _each(app, [item for item in found if not item.running], "start", "Starting", "Started")
    project = select(project, options.args)
    counts = {name: service.with_(scale=sum(item.service == name for item in app.containers(project)))
              for name, service in project.services.items()}
    project = project.replace(services=counts)
    plan = reconcile(project, observe.observe(app.api, project, {}), UpOptions(recreate="never",
                                                                               recreate_dependencies="never"))
    from solva.compose.plan import Plan

    return _run(app, Plan(plan.ops))


def restart(app: App, options: Options) -> int:
    from solva.compose.plan import Draft
    from solva.compose.reconcile import in_order

    project = app.project_or_name(options.args)
    app.containers(project, options.args)       # refuses an unknown name
    order = [service.name for service in in_order(project)]
    named = set(options.args)
    if named and not options.on("no-deps"):
        for name in order:
            waits = project.services[name].depends_on
            if any(settings.get("restart") and dependency in named for dependency, settings in waits.items()):
                named.add(name)
    found = [item for item in app.containers(project) if not named or item.service in named]
    draft = Draft()
    keys: dict[str, list[str]] = {}
    for name in order or sorted({item.service for item in found}):
        service = project.services.get(name)
        needs = [key for dependency in (service.depends_on if service else {}) for key in keys.get(dependency, ())]
        for item in found:
            if item.service == name:
                keys.setdefault(name, []).append(draft.add(
                    f"restart {item.name}", "POST", f"/containers/{item.id}/restart", needs=needs,
                    query={"t": _timeout(options)}, subject=f"Container {item.name}", doing="Restarting",
                    done="Started"))
    return _run(app, draft.plan())


def _each(app: App, found: list[Container], action: str, doing: str, done: str,
          query: dict[str, object] | None = None) -> int:
    from solva.compose.plan import Draft

    draft = Draft()
    for item in found:
        draft.add(f"{action} {item.name}", "POST", f"/containers/{item.id}/{action}", query=query,
                  subject=f"Container {item.name}", doing=doing, done=done, lenient=("NotModified",))
    return _run(app, draft.plan())


def pause(app: App, options: Options) -> int:
    found = app.containers(app.project_or_name(options.args), options.args, every=False)
    return _each(app, found, "pause", "", "Paused")


def unpause(app: App, options: Options) -> int:
    found = app.containers(app.project_or_name(options.args), options.args, every=False)
    return _each(app, found, "unpause", "", "Unpaused")


def kill(app: App, options: Options) -> int:
    project = app.project_or_name(options.args)
    found = app.containers(project, options.args, every=False, one_off=True)
    if project.services and not options.on("remove-orphans"):
        found = [item for item in found if item.service in project.services or item.service in project.disabled]
    return _each(app, found, "kill", "Killing", "Killed", {"signal": options.text("signal")})


def rm(app: App, options: Options) -> int:
    from solva.compose.plan import Draft

    project = app.project_or_name(options.args)
    if options.on("stop"):
        stop(app, options)
    found = [item for item in app.containers(project, options.args, one_off=True) if not item.running]
    if not found:
        sys.stderr.write("No stopped containers\n")
        return 0
    names = ", ".join(item.name for item in found)
    if options.on("force"):
        sys.stdout.write(f"Going to remove {names}\n")
        sys.stdout.flush()
    else:
        sys.stdout.write(f"? Going to remove {names} (y/N) ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    draft = Draft()
    for item in found:
        draft.add(f"remove {item.name}", "DELETE", f"/containers/{item.id}",
                  query={"v": options.on("volumes") or None, "force": True}, subject=f"Container {item.name}",
                  doing="Removing", done="Removed", lenient=("NotFound",))
    return _run(app, draft.plan())


_TIMEOUT = Flag("timeout", "t", "int", "Specify a shutdown timeout in seconds")
COMMANDS = {
    "stop": verb("stop", "[OPTIONS] [SERVICE...]", "Stop services", stop, _TIMEOUT),
    "start": verb("start", "[SERVICE...]", "Start services", start),
    "restart": verb("restart", "[OPTIONS] [SERVICE...]", "Restart service containers", restart, _TIMEOUT,
                    Flag("no-deps", "", "bool", "Don't restart dependent services")),
    "pause": verb("pause", "[SERVICE...]", "Pause services", pause),
    "unpause": verb("unpause", "[SERVICE...]", "Unpause services", unpause),
    "kill": verb("kill", "[OPTIONS] [SERVICE...]", "Force stop service containers", kill,
                 Flag("remove-orphans", "", "bool", "Remove containers for services not defined in the Compose file"),
                 Flag("signal", "s", "string", "SIGNAL to send to the container", default="SIGKILL")),
    "rm": verb("rm", "[OPTIONS] [SERVICE...]", "Removes stopped service containers", rm,
               Flag("force", "f", "bool", "Don't ask to confirm removal"),
               Flag("stop", "s", "bool", "Stop the containers, if required, before removing"),
               Flag("volumes", "v", "bool", "Remove any anonymous volumes attached to containers")),
}
