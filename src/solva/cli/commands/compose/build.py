"""``build``: the services' images."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.building import BuildOptions
    from solva.compose.project import Project, Service


def build(app: App, options: Options) -> int:
    from solva.compose.building import BuildOptions, bake
    from solva.compose.images import ImageOptions, plan_images
    from solva.compose.load.pipeline import select
    from solva.compose.plan import Plan
    from solva.compose.reconcile import in_order

    _refuse(options)
    project = app.project(options.args)
    project = select(project, options.args, dependencies=options.on("with-dependencies"))
    building = BuildOptions(no_cache=options.on("no-cache"), pull=options.on("pull"), args=options.many("build-arg"),
                            memory=options.number("memory"), quiet=options.on("quiet"), ssh=options.text("ssh"))
    services = [service for service in in_order(project) if service.get("build") is not None]
    if options.on("print"):
        import json

        sys.stdout.write(json.dumps(bake(project, services, building), indent=2) + "\n")
        return 0
    if options.on("check"):
        return _check(app, project, services, building)
    wanted = project.replace(services={service.name: service for service in services})
    ops = plan_images(wanted, {}, ImageOptions(build=True, building=building))
    app.run(Plan(ops), app.progress("Building"))
    if options.on("push"):
        from solva.cli.commands.compose.pull import push_images

        return push_images(app, services, project.name, quiet=options.on("quiet"), ignore=False)
    return 0


def _check(app: App, project: Project, services: list[Service], building: BuildOptions) -> int:
    """What is doubtful about the services' Dockerfiles; 1 where something is."""
    import json

    from solva.cli.output.buildcall import text_of
    from solva.client.buildkit import build as client
    from solva.compose.building import build_body
    from solva.compose.buildkit import check_request

    status = 0
    for service in services:
        result = client.ask(app.api, check_request(build_body(project, service, building)), "frontend.lint",
                            lambda message: None)
        sys.stdout.write(f"[{service.name}] " + text_of("check", json.loads(result["result.json"])) + "\n")
        status = max(status, int(result.get("result.statuscode", b"0") or 0))
    return status


def _refuse(options: Options) -> None:
    """What only BuildKit does is refused, not passed over."""
    from solva.cli.errors import CommandError

    for name in ("sbom", "provenance"):
        value = options.text(name)
        if value and value.lower() not in ("false", "0"):
            raise CommandError(f"--{name}: attestations are not supported by the engine's image store")
    if options.text("builder") not in ("", "default"):
        raise CommandError(f'no builder "{options.text("builder")}" found: the engine builds, there are no others')


COMMANDS = {"build": verb(
    "build", "[OPTIONS] [SERVICE...]", "Build or rebuild services", build,
    Flag("build-arg", "", "list", "Set build-time variables for services"),
    Flag("builder", "", "string", "Set builder to use"),
    Flag("check", "", "bool", "Check build configuration"),
    Flag("memory", "m", "bytes", "Set memory limit for the build container. Not supported by BuildKit."),
    Flag("no-cache", "", "bool", "Do not use cache when building the image"),
    Flag("print", "", "bool", "Print equivalent bake file"),
    Flag("provenance", "", "string", "Add a provenance attestation"),
    Flag("pull", "", "bool", "Always attempt to pull a newer version of the image"),
    Flag("push", "", "bool", "Push service images"),
    Flag("quiet", "q", "bool", "Suppress the build output"),
    Flag("sbom", "", "string", "Add a SBOM attestation"),
    Flag("ssh", "", "string", "Set SSH authentications used when building service images. (use 'default' for using "
         "your default SSH Agent)"),
    Flag("with-dependencies", "", "bool", "Also build dependencies (transitively)"))}
