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
    from solva.compose import images, labels, observe
    from solva.compose.effects.mounts import contents
    from solva.compose.effects.request import container_request
    from solva.compose.execute import copy, execute
    from solva.compose.hash import service_hash
    from solva.compose.load.pipeline import select
    from solva.compose.plan import Op
    from solva.compose.reconcile import UpOptions, reconcile

    name, *command = options.args
    project = app.project([name])
    project = select(project, [name], dependencies=not options.on("no-deps"))
    others = {key: value for key, value in project.services.items() if key != name}
    progress = app.progress()
    known = images.ensure(app.api, project, progress, build=True if options.on("build") else None,
                          pull=options.text("pull"), auth=app.auth)
    service = _changed(project.services[name], command, options)
    rest = project.replace(services={**others, name: service.with_(scale=0)})
    observed = observe.observe(app.api, rest, known)
    observed.containers = tuple(item for item in observed.containers if item.service != name)
    execute(reconcile(rest, observed, UpOptions(recreate="never", recreate_dependencies="never",
                                                remove_orphans=options.on("remove-orphans"))),
            app.api, progress, parallel=app.parallel)
    _wait_for(app, rest, service)
    import secrets

    slug = secrets.token_hex(6)
    container = options.text("name") or f"{project.name}-{name}-run-{slug}"
    tags = labels.container_labels(project, service, 1, service_hash(service),
                                   known[service.image(project.name)], one_off=True)
    tags[labels.SLUG] = slug
    tags.update(item.partition("=")[::2] for item in options.many("label"))
    interactive = not options.on("detach") and options.on("interactive")
    body = container_request(project, service, container, tags, aliases=options.on("use-aliases"),
                             attach_stdin=interactive, auto_remove=options.on("rm") and options.on("detach"))
    app.api.json("POST", "/containers/create", query={"name": container, "platform": service.get("platform")},
                 body=body)
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


def _wait_for(app: App, project: Project, service: Service) -> None:
    from solva.compose.execute import wait
    from solva.compose.plan import Op

    for dependency, settings in service.depends_on.items():
        condition = settings.get("condition", "service_started")
        if condition == "service_started" or dependency not in project.services:
            continue
        for item in app.containers(project, [dependency]):
            wait(Op("wait", "GET", f"/containers/{item.name}/json", kind="wait", body={
                "condition": condition, "required": settings.get("required", True)}), app.api)


def _changed(service: Service, command: list[str], options: Options) -> Service:
    from solva.compose.attributes import convert

    tty = not options.on("no-tty") and sys.stdout.isatty() and sys.stdin.isatty() and not options.on("detach")
    changes: dict[str, Any] = {"tty": tty, "stdin_open": options.on("interactive") and not options.on("detach"),
                               "restart": None, "container_name": None, "healthcheck": service.get("healthcheck")}
    if command:
        changes["command"] = command
    if "entrypoint" in options.changed:
        changes["entrypoint"] = convert.command(options.text("entrypoint"), ())
        if not command:
            changes["command"] = None
    if options.many("env"):
        import os

        given = convert.table(options.many("env"), ())
        changes["environment"] = {**(service.get("environment") or {}),
                                  **{key: os.environ.get(key) if value is None else value
                                     for key, value in given.items()}}
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


COMMANDS = {"run": verb(
    "run", "[OPTIONS] SERVICE [COMMAND] [ARGS...]", "Run a one-off command on a service", run,
    Flag("build", "", "bool", "Build image before starting container"),
    Flag("cap-add", "", "list", "Add Linux capabilities"), Flag("cap-drop", "", "list", "Drop Linux capabilities"),
    Flag("detach", "d", "bool", "Run container in background and print container ID"),
    Flag("entrypoint", "", "string", "Override the entrypoint of the image"),
    Flag("env", "e", "list", "Set environment variables"),
    Flag("interactive", "i", "bool", "Keep STDIN open even if not attached", default=True),
    Flag("label", "l", "list", "Add or override a label"), Flag("name", "", "string", "Assign a name to the container"),
    Flag("no-tty", "T", "bool", "Disable pseudo-TTY allocation"),
    Flag("no-deps", "", "bool", "Don't start linked services"),
    Flag("publish", "p", "list", "Publish a container's port(s) to the host"),
    Flag("pull", "", "string", 'Pull image before running ("always"|"missing"|"never")'),
    Flag("quiet", "q", "bool", "Don't print anything to STDOUT"),
    Flag("quiet-pull", "", "bool", "Pull without printing progress information"),
    Flag("remove-orphans", "", "bool", "Remove containers for services not defined in the Compose file"),
    Flag("rm", "", "bool", "Automatically remove the container when it exits"),
    Flag("service-ports", "P", "bool", "Run command with all service's ports enabled and mapped to the host"),
    Flag("use-aliases", "", "bool", "Use the service's network useAliases in the network(s) the container connects to"),
    Flag("user", "u", "string", "Run as specified username or uid"),
    Flag("volume", "v", "list", "Bind mount a volume"),
    Flag("workdir", "w", "string", "Working directory inside the container"), arity=(1, None), interspersed=False)}
