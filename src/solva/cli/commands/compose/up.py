"""``up``, ``create``, ``scale``, ``plan``: make what is there what the files say."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.plan import Plan
    from solva.compose.project import Project

_CREATE = (
    Flag("build", "", "bool", "Build images before starting containers"),
    Flag("force-recreate", "", "bool", "Recreate containers even if their configuration and image haven't changed"),
    Flag("no-build", "", "bool", "Don't build an image, even if it's policy"),
    Flag("no-recreate", "", "bool", "If containers already exist, don't recreate them. Incompatible with "
         "--force-recreate."),
    Flag("pull", "", "string", 'Pull image before running ("always"|"missing"|"never"|"build")'),
    Flag("quiet-pull", "", "bool", "Pull without printing progress information"),
    Flag("quiet-build", "", "bool", "Suppress the build output"),
    Flag("remove-orphans", "", "bool", "Remove containers for services not defined in the Compose file"),
    Flag("scale", "", "list", "Scale SERVICE to NUM instances. Overrides the scale setting in the Compose file if "
         "present."),
    Flag("yes", "y", "bool", 'Assume "yes" as answer to all prompts and run non-interactively'),
)
_UP = (
    Flag("abort-on-container-exit", "", "bool", "Stops all containers if any container was stopped. Incompatible with "
         "-d"),
    Flag("abort-on-container-failure", "", "bool", "Stops all containers if any container exited with failure. "
         "Incompatible with -d"),
    Flag("always-recreate-deps", "", "bool", "Recreate dependent containers. Incompatible with --no-recreate."),
    Flag("attach", "", "list", "Restrict attaching to the specified services. Incompatible with "
         "--attach-dependencies."),
    Flag("attach-dependencies", "", "bool", "Automatically attach to log output of dependent services"),
    Flag("detach", "d", "bool", "Detached mode: Run containers in the background"),
    Flag("exit-code-from", "", "string", "Return the exit code of the selected service container. Implies "
         "--abort-on-container-exit"),
    Flag("no-attach", "", "list", "Do not attach (stream logs) to the specified services"),
    Flag("no-color", "", "bool", "Produce monochrome output"),
    Flag("no-deps", "", "bool", "Don't start linked services"),
    Flag("no-log-prefix", "", "bool", "Don't print prefix in logs"),
    Flag("no-start", "", "bool", "Don't start the services after creating them"),
    Flag("renew-anon-volumes", "V", "bool", "Recreate anonymous volumes instead of retrieving data from the previous "
         "containers"),
    Flag("timeout", "t", "int", "Use this timeout in seconds for container shutdown when attached or when containers "
         "are already running"),
    Flag("timestamps", "", "bool", "Show timestamps"),
    Flag("wait", "", "bool", "Wait for services to be running|healthy. Implies detached mode."),
    Flag("wait-timeout", "", "int", "Maximum duration in seconds to wait for the project to be running|healthy"),
)


def up(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError

    if options.on("force-recreate") and options.on("no-recreate"):
        raise CommandError("--force-recreate and --no-recreate are incompatible")
    if options.on("build") and options.on("no-build"):
        raise CommandError("--build and --no-build are incompatible")
    abort = options.on("abort-on-container-exit") or options.on("abort-on-container-failure")
    if options.on("detach") and (abort or options.many("attach") or options.text("exit-code-from")):
        raise CommandError("--detach cannot be combined with --abort-on-container-exit, "
                           "--abort-on-container-failure, --attach, --attach-dependencies or --watch")
    project = narrowed(app, options)
    run_plan(app, options, project, start=not options.on("no-start"))
    if app.dry_run or options.on("no-start"):
        return 0
    if options.on("wait"):
        return wait_healthy(app, project, options)
    if options.on("detach"):
        return 0
    from solva.cli.commands.compose.foreground import follow

    return follow(app, project, options)


def create(app: App, options: Options) -> int:
    run_plan(app, options, narrowed(app, options), start=False)
    return 0


def scale(app: App, options: Options) -> int:
    options.values["scale"] = options.args
    names = [item.partition("=")[0] for item in options.args]
    options.args = names
    run_plan(app, options, narrowed(app, options), start=True)
    return 0


def show_plan(app: App, options: Options) -> int:
    from solva.compose import observe
    from solva.compose.reconcile import UpOptions, reconcile

    project = narrowed(app, options)
    plan = reconcile(project, observe.observe(app.api, project), UpOptions(
        recreate="force" if options.on("force-recreate") else "diverged",
        remove_orphans=options.on("remove-orphans")))
    sys.stdout.write(f"{plan}\n")
    return 0


def narrowed(app: App, options: Options) -> Project:
    """The project with only the named services (and what they need), scaled."""
    from solva.cli.errors import CommandError
    from solva.compose.load.pipeline import select

    project = app.project(options.args)
    project = select(project, options.args, dependencies=not options.on("no-deps"))
    services = dict(project.services)
    for item in options.many("scale"):
        name, equals, count = item.partition("=")
        if not equals or not count.isdigit():
            raise CommandError(f"invalid --scale option \"{item}\". Should be SERVICE=NUM")
        if name not in services:
            raise CommandError(f"no such service: {name}")
        services[name] = services[name].with_(scale=int(count))
    return project.replace(services=services)


def run_plan(app: App, options: Options, project: Project, *, start: bool) -> Plan:
    from solva.compose import images, observe
    from solva.compose.execute import execute
    from solva.compose.load.options import warn
    from solva.compose.reconcile import UpOptions, orphans, reconcile

    progress = app.progress()
    build = True if options.on("build") else False if options.on("no-build") else None
    known = images.ensure(app.api, project, progress, build=build, pull=_policy(options.text("pull")),
                          quiet=options.on("quiet-build"), dry_run=app.dry_run, auth=app.auth)
    observed = observe.observe(app.api, project, known)
    _check_volumes(project, observed)
    left = orphans(project, observed)
    if left and not options.on("remove-orphans") and not _true(app, "COMPOSE_IGNORE_ORPHANS"):
        names = " ".join(item.name for item in left)
        warn(f"Found orphan containers ([{names}]) for this project. If you removed or renamed this service in your "
             "compose file, you can run this command with the --remove-orphans flag to clean it up.")
    recreate = "force" if options.on("force-recreate") else "never" if options.on("no-recreate") else "diverged"
    plan = reconcile(project, observed, UpOptions(
        recreate=recreate, recreate_dependencies="force" if options.on("always-recreate-deps") else "diverged"
        if recreate != "never" else "never", start=start,
        timeout=options.number("timeout") if "timeout" in options.changed else None,
        renew_volumes=options.on("renew-anon-volumes"),
        remove_orphans=options.on("remove-orphans") or _true(app, "COMPOSE_REMOVE_ORPHANS"), named=options.args))
    execute(plan, app.api, progress, parallel=app.parallel, dry_run=app.dry_run)
    return plan


def _true(app: App, name: str) -> bool:
    return app.location.environment.get(name, "").lower() in ("1", "true", "yes", "y", "on")


def _policy(text: str) -> str:
    from solva.cli.errors import CommandError

    if text not in ("", "always", "missing", "never", "build", "if_not_present", "policy"):
        raise CommandError(f'invalid --pull option "{text}"')
    return "" if text == "policy" else text


def _check_volumes(project: Project, observed: Any) -> None:
    from solva.compose import labels
    from solva.compose.load.options import warn

    for entry in project.volumes.values():
        found = observed.volumes.get(entry["name"])
        if found is None or entry.get("external"):
            continue
        owner = (found.get("Labels") or {}).get(labels.PROJECT)
        if owner is None:
            warn(f'volume "{entry["name"]}" already exists but was not created by Docker Compose. '
                 "Use `external: true` to use an existing volume")
        elif owner != project.name:
            warn(f'volume "{entry["name"]}" already exists but was created for project "{owner}" (expected '
                 f'"{project.name}"). Use `external: true` to use an existing volume')


def wait_healthy(app: App, project: Project, options: Options) -> int:
    """``--wait``: until everything runs, and is healthy where it has a health check."""
    import threading

    from solva.compose.errors import ComposeError
    from solva.compose.execute import wait
    from solva.compose.plan import Op

    progress = app.progress()
    failures: list[BaseException] = []

    def one(name: str) -> None:
        progress.event(f"Container {name}", "Waiting")
        op = Op(f"wait {name}", "GET", f"/containers/{name}/json", kind="wait",
                body={"condition": "running_or_healthy"})
        try:
            progress.event(f"Container {name}", wait(op, app.api))
        except BaseException as error:
            progress.event(f"Container {name}", "Error")
            failures.append(error)

    threads = [threading.Thread(target=one, args=(item.name,), daemon=True)
               for item in app.containers(project, project.services)]
    for thread in threads:
        thread.start()
    limit = options.number("wait-timeout") or None
    for thread in threads:
        thread.join(limit)
        if thread.is_alive():
            raise ComposeError("application not healthy after " + f"{limit}s")
    if failures:
        text = str(failures[0]).removeprefix("dependency failed to start: ")
        raise ComposeError(text)
    return 0


COMMANDS = {
    "up": verb("up", "[OPTIONS] [SERVICE...]", "Create and start containers", up, *_CREATE, *_UP),
    "create": verb("create", "[OPTIONS] [SERVICE...]", "Creates containers for a service", create, *_CREATE),
    "scale": verb("scale", "[SERVICE=REPLICAS...]", "Scale services", scale,
                  Flag("no-deps", "", "bool", "Don't start linked services"), arity=(1, None)),
    "plan": verb("plan", "[OPTIONS] [SERVICE...]", "Show what `up` would do, and why", show_plan, *_CREATE),
}
