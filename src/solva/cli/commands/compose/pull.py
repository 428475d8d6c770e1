"""``pull`` and ``push``."""

from __future__ import annotations

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def pull(app: App, options: Options) -> int:
    from solva.compose import observe
    from solva.compose.errors import ComposeError
    from solva.compose.images import pull_service
    from solva.compose.load.pipeline import select

    project = app.project(options.args)
    project = select(project, options.args, dependencies=options.on("include-deps"))
    progress = app.progress()
    done: set[str] = set()
    failed: ComposeError | None = None
    for service in project.services.values():
        reference = service.image(project.name)
        if not service.get("image") or service.get("pull_policy") in ("never", "build"):
            progress.event(service.name, "Skipped", "- No image to be pulled")
            continue
        if service.get("build") is not None and options.on("ignore-buildable"):
            progress.event(service.name, "Skipped", "- Image can be built")
            continue
        missing = options.text("policy") == "missing" or service.get("pull_policy") == "missing"
        if missing and observe.image_id(app.api, reference):
            progress.event(service.name, "Skipped", "- Image is already present locally")
            continue
        if reference in done:
            continue
        done.add(reference)
        try:
            pull_service(app.api, service, reference, progress, dry_run=app.dry_run, auth=app.auth)
        except ComposeError as error:
            if service.get("build") is None and not options.on("ignore-pull-failures"):
                failed = failed or error
    if failed is not None:
        raise failed
    return 0


def push(app: App, options: Options) -> int:
    from solva.cli.commands.compose.delegate import call
    from solva.compose.load.pipeline import select

    project = select(app.project(options.args), options.args, dependencies=False)
    status = 0
    for service in project.services.values():
        if service.get("build") is not None and service.get("image"):
            status = call(app, ["push", service.image(project.name)]) or status
            if status and not options.on("ignore-push-failures"):
                return status
    return status


COMMANDS = {
    "pull": verb("pull", "[OPTIONS] [SERVICE...]", "Pull service images", pull,
                 Flag("ignore-buildable", "", "bool", "Ignore images that can be built"),
                 Flag("ignore-pull-failures", "", "bool", "Pull what it can and ignores images with pull failures"),
                 Flag("include-deps", "", "bool", "Also pull services declared as dependencies"),
                 Flag("policy", "", "string", 'Apply pull policy ("missing"|"always")'),
                 Flag("quiet", "q", "bool", "Pull without printing progress information")),
    "push": verb("push", "[OPTIONS] [SERVICE...]", "Push service images", push,
                 Flag("ignore-push-failures", "", "bool", "Push what it can and ignores images with push failures"),
                 Flag("include-deps", "", "bool", "Also push images of services declared as dependencies"),
                 Flag("quiet", "q", "bool", "Push without printing progress information")),
}
