"""``build``: the services' images."""

from __future__ import annotations

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def build(app: App, options: Options) -> int:
    from solva.compose.images import build_service
    from solva.compose.load.pipeline import select
    from solva.compose.reconcile import in_order

    project = app.project(options.args)
    project = select(project, options.args, dependencies=options.on("with-dependencies"))
    progress = app.progress()
    for service in in_order(project):
        if service.get("build") is None:
            continue
        reference = service.image(project.name)
        if not app.dry_run:
            build_service(app.api, project, service, quiet=options.on("quiet"), no_cache=options.on("no-cache"),
                          pull=options.on("pull"), args=options.many("build-arg"), memory=options.number("memory"))
        progress.event(reference, "Built")
    if options.on("push"):
        from solva.cli.commands.compose.pull import push

        return push(app, options)
    return 0


COMMANDS = {"build": verb(
    "build", "[OPTIONS] [SERVICE...]", "Build or rebuild services", build,
    Flag("build-arg", "", "list", "Set build-time variables for services"),
    Flag("memory", "m", "bytes", "Set memory limit for the build container"),
    Flag("no-cache", "", "bool", "Do not use cache when building the image"),
    Flag("pull", "", "bool", "Always attempt to pull a newer version of the image"),
    Flag("push", "", "bool", "Push service images"),
    Flag("quiet", "q", "bool", "Suppress the build output"),
    Flag("with-dependencies", "", "bool", "Also build dependencies (transitively)"))}
