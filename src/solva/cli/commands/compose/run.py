"""``run``: a one-off container of a service."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.project import Project, Service


def run(app: App, options: Options) -> int:
    from solva.compose import labels
    from solva.compose.effects.mounts import contents
    from solva.compose.effects.request import container_request
    from solva.compose.hash import service_hash
    from solva.compose.load.options import warn
    from solva.compose.load.pipeline import select
    from solva.compose.perform import copy
    from solva.compose.plan import Op
    from solva.compose.reasons import joined, shared

    name, *command = options.args
    project = select(app.project([name]), [name], dependencies=not options.on("no-deps"))
    project, known = _prepared(app, project, name, options)
    service = _changed(app, project.services[name], command, options)
    places = {attribute: app.one(other).name for attribute, other in shared(service).items()}
    joined_service = type(service)(name, joined(service.config, places))
    import secrets

    slug = secrets.token_hex(6)
    container = options.text("name") or f"{project.name}-{name}-run-{slug}"
    tags = labels.container_labels(project, service, 1, service_hash(service),
                                   known.get(service.image(project.name), ""), one_off=True)
    tags[labels.SLUG] = slug
    tags.update(item.partition("=")[::2] for item in options.many("label"))
    interactive = not options.on("detach") and options.on("interactive")
    body = container_request(project, joined_service, container, tags, aliases=options.on("use-aliases"),
                             attach_stdin=interactive, auto_remove=options.on("rm") and options.on("detach"))
    if app.dry_run:
        app.progress().event(f"Container {container}", "Created")
        return 0
    made = app.api.json("POST", "/containers/create", query={"name": container, "platform": service.get("platform")},
                        body=body)
    for text in made.get("Warnings") or ():
        warn(text)
    for target, data, reference in contents(project, service):
        copy(Op("copy", "PUT", f"/containers/{container}/archive", kind="copy", query={"path": "/"},
                body=(target, data, reference)), app.api)
    if options.on("detach"):
        app.api.json("POST", f"/containers/{container}/start")
        sys.stdout.write(container + "\n")
        return 0
    from solva.cli.commands.compose.delegate import call

    try:
        return call(app, ["start", "--attach", *(["--interactive"] if interactive else []), container])
    finally:
        if options.on("rm"):
            app.api.json("DELETE", f"/containers/{container}", query={"force": True, "v": True})


def _prepared(app: App, project: Project, name: str, options: Options) -> tuple[Project, dict[str, str]]:
    """Images there, networks and volumes too, dependencies up and as their conditions want; image ids."""
    from solva.cli.commands.compose.up import bound, image_options
    from solva.compose import observe
    from solva.compose.images import age_of, plan_images
    from solva.compose.plan import Plan
    from solva.compose.reconcile import UpOptions, reconcile
    from solva.compose.starting import Starter

    progress = app.progress(quiet=options.on("quiet"))
    quiet = options.on("quiet") or options.on("quiet-pull")
    project = bound(app, project, progress, quiet=quiet)
    observed = observe.observe(app.api, project)
    wanted = project
    if options.on("build"):         # the service's own image only, as Docker does
        own = project.replace(services={name: project.services[name]})
        app.run(Plan(plan_images(own, {}, image_options(options))), progress)
        options.values["build"] = False
        observed.images = observe.images(app.api, project)
    ops = plan_images(wanted, observed.images, image_options(options), age_of(app.api))
    if ops:
        app.run(Plan(ops), progress)
        if not app.dry_run:
            observed.images = observe.images(app.api, project)
    known = dict(observed.images)
    rest = project.replace(services={**project.services, name: project.services[name].with_(
        scale=0, container_name=None)})
    observed.containers = tuple(item for item in observed.containers if item.service != name)
    app.run(reconcile(rest, observed, UpOptions(
        recreate="never", recreate_dependencies="never", remove_orphans=options.on("remove-orphans"))), progress)
    from solva.compose.plan import Draft

    draft = Draft()
    starter = Starter(project, observed, draft, None)
    there = app.containers(project) if not app.dry_run else []
    names = {other: [item.name for item in there if item.service == other] for other in project.services}
    for dependency, settings in project.services[name].depends_on.items():
        starter.dependency(dependency, settings, names)
    app.run(draft.plan(), progress)
    return project, known


def _changed(app: App, service: Service, command: list[str], options: Options) -> Service:
    from solva.compose.attributes import convert

    plain = options.on("no-tty") or options.on("no-TTY") or options.on("detach") or not options.on("tty")
    tty = not plain and sys.stdout.isatty() and sys.stdin.isatty()
    changes: dict[str, Any] = {"tty": tty, "stdin_open": options.on("interactive") and not options.on("detach"),
                               "restart": None, "container_name": None, "healthcheck": service.get("healthcheck")}
    if command:
        changes["command"] = command
    if "entrypoint" in options.changed:
        changes["entrypoint"] = convert.command(options.text("entrypoint"), ())
        if not command:
            changes["command"] = None
    given = {**_from_files(options.many("env-from-file")), **convert.table(options.many("env"), ())}
    if given:
        there = app.location.environment
        changes["environment"] = {**(service.get("environment") or {}),
                                  **{key: there.get(key) if value is None else value for key, value in given.items()}}
    for flag, attribute in (("user", "user"), ("workdir", "working_dir")):
        if options.text(flag):
            changes[attribute] = options.text(flag)
    for flag in ("cap-add", "cap-drop"):
        if options.many(flag):
            attribute = flag.replace("-", "_")
            changes[attribute] = [*(service.get(attribute) or ()), *options.many(flag)]
    if options.many("volume"):
        mounts = [convert.short_volume(item) for item in options.many("volume")]
        targets = {item["target"] for item in mounts}
        changes["volumes"] = [item for item in service.get("volumes") or () if item["target"] not in targets] + mounts
    published = [item for spec in options.many("publish") for item in convert.short_port(spec)]
    changes["ports"] = [*((service.get("ports") or ()) if options.on("service-ports") else ()), *published] or None
    return service.with_(**changes)


def _from_files(paths: list[str]) -> dict[str, str | None]:
    from solva.compose.load import dotenv
    from solva.compose.load.options import warn

    found: dict[str, str | None] = {}
    for path in paths:
        found.update(dotenv.load(path, {}, {}, warn))
    return found


COMMANDS = {"run": verb(
    "run", "[OPTIONS] SERVICE [COMMAND] [ARGS...]", "Run a one-off command on a service", run,
    Flag("build", "", "bool", "Build image before starting container"),
    Flag("cap-add", "", "list", "Add Linux capabilities"), Flag("cap-drop", "", "list", "Drop Linux capabilities"),
    Flag("detach", "d", "bool", "Run container in background and print container ID"),
    Flag("entrypoint", "", "string", "Override the entrypoint of the image"),
    Flag("env", "e", "list", "Set environment variables"),
    Flag("env-from-file", "", "list", "Set environment variables from file"),
    Flag("interactive", "i", "bool", "Keep STDIN open even if not attached", default=True),
    Flag("label", "l", "list", "Add or override a label"), Flag("name", "", "string", "Assign a name to the container"),
    Flag("no-TTY", "T", "bool", "Disable pseudo-TTY allocation (default: auto-detected)"),
    Flag("no-tty", "", "bool", "Disable pseudo-TTY allocation", hidden=True),
    Flag("tty", "t", "bool", "Allocate a pseudo-TTY", default=True, hidden=True),
    Flag("no-deps", "", "bool", "Don't start linked services"),
    Flag("publish", "p", "list", "Publish a container's port(s) to the host"),
    Flag("pull", "", "string", 'Pull image before running ("always"|"missing"|"never")'),
    Flag("quiet", "q", "bool", "Don't print anything to STDOUT"),
    Flag("quiet-build", "", "bool", "Suppress progress output from the build process"),
    Flag("quiet-pull", "", "bool", "Pull without printing progress information"),
    Flag("remove-orphans", "", "bool", "Remove containers for services not defined in the Compose file"),
    Flag("rm", "", "bool", "Automatically remove the container when it exits"),
    Flag("service-ports", "P", "bool", "Run command with all service's ports enabled and mapped to the host"),
    Flag("use-aliases", "", "bool", "Use the service's network useAliases in the network(s) the container connects to"),
    Flag("user", "u", "string", "Run as specified username or uid"),
    Flag("volume", "v", "list", "Bind mount a volume"),
    Flag("workdir", "w", "string", "Working directory inside the container"), arity=(1, None), interspersed=False)}
