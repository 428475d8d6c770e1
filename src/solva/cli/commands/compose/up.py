"""``up``, ``create``, ``scale``: make what is there what the files say."""

from __future__ import annotations

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.images import ImageOptions
    from solva.compose.observe import Observed
    from solva.compose.progress import Progress
    from solva.compose.project import Project
    from solva.compose.reconcile import UpOptions

CREATE = (
    Flag("build", "", "bool", "Build images before starting containers"),
    Flag("force-recreate", "", "bool", "Recreate containers even if their configuration and image haven't changed"),
    Flag("no-build", "", "bool", "Don't build an image, even if it's policy"),
    Flag("no-recreate", "", "bool", "If containers already exist, don't recreate them. Incompatible with "
         "--force-recreate."),
    Flag("pull", "", "string", 'Pull image before running ("always"|"missing"|"never"|"build")', default="policy"),
    Flag("quiet-pull", "", "bool", "Pull without printing progress information"),
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
    Flag("menu", "", "bool", "Enable interactive shortcuts when running attached. Incompatible with --detach. Can "
         "also be enable/disable by setting COMPOSE_MENU environment var."),
    Flag("no-attach", "", "list", "Do not attach (stream logs) to the specified services"),
    Flag("no-color", "", "bool", "Produce monochrome output"),
    Flag("no-deps", "", "bool", "Don't start linked services"),
    Flag("no-log-prefix", "", "bool", "Don't print prefix in logs"),
    Flag("no-start", "", "bool", "Don't start the services after creating them"),
    Flag("plan", "", "string", "Do what the plan in this file says and nothing else (solva compose plan --out FILE)"),
    Flag("quiet-build", "", "bool", "Suppress the build output"),
    Flag("renew-anon-volumes", "V", "bool", "Recreate anonymous volumes instead of retrieving data from the previous "
         "containers"),
    Flag("timeout", "t", "int", "Use this timeout in seconds for container shutdown when attached or when containers "
         "are already running"),
    Flag("timestamps", "", "bool", "Show timestamps"),
    Flag("wait", "", "bool", "Wait for services to be running|healthy. Implies detached mode."),
    Flag("wait-timeout", "", "int", "Maximum duration in seconds to wait for the project to be running|healthy"),
    Flag("watch", "w", "bool", "Watch source code and rebuild/refresh containers when files are updated."),
)


def up(app: App, options: Options) -> int:
    check(app, options)
    if options.text("plan"):
        return apply(app, options)
    project = narrowed(app, options)
    attached = not (app.dry_run or options.on("no-start") or options.on("detach"))
    try:
        project = converge(app, options, project, start=not options.on("no-start"))
    except KeyboardInterrupt:
        if attached:
            from solva.cli.commands.compose.foreground import give_up

            give_up(app, project, options)
        raise
    if app.dry_run or options.on("no-start"):
        return 0
    if options.on("wait"):
        return wait_healthy(app, project, options)
    if options.on("detach"):
        return 0
    from solva.cli.commands.compose.foreground import follow

    return follow(app, project, options)


def check(app: App, options: Options) -> None:
    """Refuse flags that contradict each other, in Docker's words."""
    from solva.cli.errors import CommandError

    if options.text("exit-code-from"):
        options.values["abort-on-container-exit"] = True
    if options.on("wait") and options.on("attach-dependencies"):
        raise CommandError("--wait and --attach-dependencies cannot be combined")
    if options.on("wait"):
        options.values["detach"] = True
    if options.on("build") and options.on("no-build"):
        raise CommandError("--build and --no-build are incompatible")
    exits = options.on("abort-on-container-exit"), options.on("abort-on-container-failure")
    if all(exits):
        raise CommandError("--abort-on-container-failure cannot be combined with --abort-on-container-exit")
    if options.on("detach") and (any(exits) or options.many("attach") or options.on("attach-dependencies")
                                 or options.on("watch")):
        raise CommandError("--wait cannot be combined with --abort-on-container-exit, --abort-on-container-failure, "
                           "--attach, --attach-dependencies or --watch" if options.on("wait") else
                           "--detach cannot be combined with --abort-on-container-exit, "
                           "--abort-on-container-failure, --attach, --attach-dependencies or --watch")
    if options.on("force-recreate") and options.on("no-recreate"):
        raise CommandError("--force-recreate and --no-recreate are incompatible")
    if options.on("no-recreate") and options.on("renew-anon-volumes"):
        raise CommandError("--no-recreate and --renew-anon-volumes are incompatible")
    if options.on("always-recreate-deps") and options.on("no-recreate"):
        raise CommandError("--no-recreate and --always-recreate-deps are incompatible")
    if options.many("attach") and options.on("attach-dependencies"):
        raise CommandError("cannot combine --attach and --attach-dependencies")
    if options.on("no-build") and options.on("watch"):
        raise CommandError("--no-build and --watch are incompatible")


def create(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError

    if options.on("build") and options.on("no-build"):
        raise CommandError("--build and --no-build are incompatible")
    if options.on("force-recreate") and options.on("no-recreate"):
        raise CommandError("--force-recreate and --no-recreate are incompatible")
    converge(app, options, narrowed(app, options), start=False)
    return 0


def scale(app: App, options: Options) -> int:
    options.values["scale"] = options.args
    options.args = [item.partition("=")[0] for item in options.args]
    converge(app, options, narrowed(app, options), start=True)
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


def image_options(options: Options) -> ImageOptions:
    """What the flags say of images."""
    from solva.cli.errors import CommandError
    from solva.compose.building import BuildOptions
    from solva.compose.images import ImageOptions

    pull = options.text("pull")
    if pull not in ("", "policy", "always", "missing", "never", "build", "if_not_present"):
        raise CommandError(f'invalid --pull option "{pull}"')
    return ImageOptions(build=True if options.on("build") else False if options.on("no-build") else None,
                        pull="" if pull == "policy" else pull, quiet_pull=options.on("quiet-pull"),
                        building=BuildOptions(quiet=options.on("quiet-build")))


def up_options(app: App, options: Options, *, start: bool) -> UpOptions:
    """What the flags say of containers."""
    from solva.compose.reconcile import UpOptions

    recreate = "force" if options.on("force-recreate") else "never" if options.on("no-recreate") else "diverged"
    dependencies = "force" if options.on("always-recreate-deps") else "never" if recreate == "never" else "diverged"
    return UpOptions(recreate=recreate, recreate_dependencies=dependencies, start=start,
                     timeout=options.number("timeout") if "timeout" in options.changed else None,
                     renew_volumes=options.on("renew-anon-volumes"), named=options.args,
                     remove_orphans=options.on("remove-orphans") or app.flag("COMPOSE_REMOVE_ORPHANS"))


def converge(app: App, options: Options, project: Project, *, start: bool) -> Project:
    """Observe, plan, act; the project with what providers and models told put in."""
    from solva.compose import observe
    from solva.compose.images import age_of, plan_images
    from solva.compose.plan import Plan

    progress = app.progress()
    project = bound(app, project, progress, quiet=options.on("quiet-pull"))
    observed = observe.observe(app.api, project)
    ops = plan_images(project, observed.images, image_options(options), age_of(app.api))
    if ops:
        app.run(Plan(ops), progress)
        if not app.dry_run:
            observed.images = observe.images(app.api, project)
    changed = up_options(app, options, start=start)
    reconciled(app, options, project, observed, changed, progress)
    return project


def bound(app: App, project: Project, progress: Progress, *, quiet: bool = False) -> Project:
    """Providers brought up, models made ready."""
    if any(service.get("provider") is not None for service in project.services.values()):
        from solva.compose.external import run_providers

        project = run_providers(project, "up", progress, dry_run=app.dry_run, endpoint=app.api.endpoint)
    if project.models:
        from solva.compose.external import bind_models

        project = bind_models(project, progress, quiet=quiet, dry_run=app.dry_run)
    return project


def reconciled(app: App, options: Options, project: Project, observed: Observed, changed: UpOptions,
               progress: Progress) -> None:
    """Plan and carry out, having warned of what will not be done and asked before data is lost."""
    from solva.compose import observe
    from solva.compose.effects.request import warnings
    from solva.compose.load.options import warn
    from solva.compose.reconcile import diverging, orphans, reconcile

    for message in warnings(project):
        warn(message)
    _check_volumes(app, options, project, observed, changed)
    left = orphans(project, observed)
    if left and not changed.remove_orphans and not app.flag("COMPOSE_IGNORE_ORPHANS"):
        names = " ".join(item.name for item in left)
        warn(f"Found orphan containers ([{names}]) for this project. If you removed or renamed this service in your "
             "compose file, you can run this command with the --remove-orphans flag to clean it up.")
    if changed.recreate != "never":
        observed.details = observe.details(app.api, diverging(project, observed, changed))
    app.run(reconcile(project, observed, changed), progress)


def _check_volumes(app: App, options: Options, project: Project, observed: Observed, changed: UpOptions) -> None:
    """Warn of volumes that are not this project's; ask before one that is otherwise configured is made anew."""
    from solva.compose import labels
    from solva.compose.load.options import warn
    from solva.compose.reconcile import diverged_volumes

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
    for name, differences in diverged_volumes(project, observed).items():
        question = (f'Volume "{name}" exists but doesn\'t match configuration in compose file '
                    f"({'; '.join(differences)}). Recreate (data will be lost)?")
        if not app.dry_run and app.confirm(question, yes=options.on("yes")):
            changed.renew = changed.renew | {name}


def apply(app: App, options: Options) -> int:
    """``up --plan FILE``."""
    from solva.cli.errors import CommandError
    from solva.compose import observe, planfile

    given = sorted(options.changed - {"plan", "detach", "dry-run", "quiet-pull", "quiet-build"})
    if given or options.args:
        raise CommandError(f"--plan takes everything from the file; it cannot be combined with "
                           f"{', '.join('--' + name for name in given) or 'services'}")
    from solva.compose.load.pipeline import select

    path = options.text("plan")
    found = planfile.read(path)
    project = select(app.project(found.get("services") or ()), found.get("services") or (), dependencies=False)
    if found.get("project") != project.name:
        raise CommandError(f"{path} is a plan for project {found.get('project')}, this one is {project.name}")
    planfile.check(path, found, observe.observe(app.api, project).world())
    app.run(planfile.plan_of(path, found))
    return 0


def wait_healthy(app: App, project: Project, options: Options) -> int:
    """``--wait``: until everything runs, and is healthy where it has a health check."""
    from solva.compose.errors import ComposeError
    from solva.compose.plan import Draft

    draft = Draft()
    for item in app.containers(project, project.services):
        draft.add(f"wait {item.name}", "GET", f"/containers/{item.name}/json", kind="wait",
                  body={"condition": "running_or_healthy"}, subject=f"Container {item.name}", doing="Waiting",
                  done="Healthy")
    try:
        app.run(draft.plan(), within=options.number("wait-timeout"))
    except ComposeError as error:
        raise ComposeError(str(error).removeprefix("dependency failed to start: ")) from None
    return 0


COMMANDS = {
    "up": verb("up", "[OPTIONS] [SERVICE...]", "Create and start containers", up, *CREATE, *_UP),
    "create": verb("create", "[OPTIONS] [SERVICE...]", "Creates containers for a service", create, *CREATE),
    "scale": verb("scale", "[SERVICE=REPLICAS...]", "Scale services", scale,
                  Flag("no-deps", "", "bool", "Don't start linked services"), arity=(1, None)),
}
