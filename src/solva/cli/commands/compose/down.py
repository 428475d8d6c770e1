"""``down``: stop and remove a project's containers and networks, and on demand its volumes and images."""

from __future__ import annotations

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.project import Project


def down(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError
    from solva.compose import labels, observe
    from solva.compose.load.options import warn
    from solva.compose.reconcile import down as plan_down

    rmi = options.text("rmi")
    if rmi not in ("", "all", "local"):
        raise CommandError(f'invalid value for --rmi: "{rmi}"')
    project = app.project_or_name()
    containers = observe.containers(app.api, project.name)
    known = {*project.services, *project.disabled}
    if known and not (options.on("remove-orphans") or app.flag("COMPOSE_REMOVE_ORPHANS")):
        containers = [item for item in containers if item.service in known]
    networks: dict[str, object] = {}
    volumes: dict[str, object] = {}
    if options.args:
        containers = [item for item in containers if item.service in options.args]
    else:
        networks = {name: entry for name, entry in observe.networks(app.api, project.name).items()
                    if not project.networks or labels.NETWORK in (entry.get("Labels") or {})}
        if options.on("volumes"):
            volumes = observe.volumes(app.api, project.name)
    plan = plan_down(project, containers, networks, volumes, with_volumes=options.on("volumes"),
                     timeout=options.number("timeout") if "timeout" in options.changed else None,
                     images=_images(project, rmi) if not options.args else ())
    if not plan.ops and not options.args:
        warn(f'Warning: No resource found to remove for project "{project.name}".')
    progress = app.progress()
    app.run(plan, progress)
    if not options.args and any(service.get("provider") is not None for service in project.services.values()):
        from solva.compose.external import run_providers

        run_providers(project, "down", progress, dry_run=app.dry_run, endpoint=app.api.endpoint)
    return 0


def _images(project: Project, rmi: str) -> list[str]:
    return sorted({service.image(project.name) for service in project.services.values()
                   if rmi == "all" or (rmi == "local" and not service.get("image"))})


COMMANDS = {"down": verb(
    "down", "[OPTIONS] [SERVICES]", "Stop and remove containers, networks", down,
    Flag("remove-orphans", "", "bool", "Remove containers for services not defined in the Compose file"),
    Flag("rmi", "", "string", 'Remove images used by services. "local" remove only images that don\'t have a '
         'custom tag ("local"|"all")'),
    Flag("timeout", "t", "int", "Specify a shutdown timeout in seconds"),
    Flag("volumes", "v", "bool", 'Remove named volumes declared in the "volumes" section of the Compose file and '
         "anonymous volumes attached to containers"))}
