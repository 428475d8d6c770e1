"""``pull`` and ``push``: the services' images from and to registries."""

from __future__ import annotations

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from solva.compose.plan import Op
    from solva.compose.project import Project, Service


def pull(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError
    from solva.compose import observe
    from solva.compose.load.pipeline import select

    policy = options.text("policy")
    if policy not in ("", "missing", "always"):
        raise CommandError(f'invalid --policy option "{policy}": it is missing or always')
    project = select(app.project(options.args), options.args, dependencies=options.on("include-deps"))
    there = observe.images(app.api, project)
    progress = app.progress("Pulling", quiet=options.on("quiet"))
    ops: list[Op] = []
    for service in project.services.values():
        op = _operation(project, service, there, options, policy)
        if isinstance(op, str):
            progress.event(f"Image {service.image(project.name)}", "Skipped", op)
        elif op.key not in {other.key for other in ops}:
            ops.append(op)
    return _pull_all(app, project, ops, progress, options)


def _operation(project: Project, service: Service, there: Mapping[str, str], options: Options,
               policy: str) -> Op | str:
    """The pull of a service's image, or why there is none."""
    from solva.compose.images import interval
    from solva.compose.plan import Op

    reference = service.image(project.name)
    own = str(service.get("pull_policy") or "")
    buildable = service.get("build") is not None
    if service.get("provider") is not None or (not service.get("image") and not buildable):
        return "No image to be pulled"
    if buildable and (options.on("ignore-buildable") or own == "build" or not service.get("image")):
        return "Image can be built"
    if own == "never":
        return "Pull policy is never"
    present = bool(there.get(reference))
    if present and (policy == "missing" or (not policy and (own in ("missing", "if_not_present") or interval(own)))):
        return "Image is already present locally"
    return Op(f"pull {reference}", "POST", "/images/create", kind="pull", subject=f"Image {reference}",
              doing="Pulling", done="Pulled", body={"reference": reference, "platform": service.get("platform"),
                                                    "service": service.name, "quiet": options.on("quiet")})


def _pull_all(app: App, project: Project, ops: list[Op], progress: object, options: Options) -> int:
    """All of them; the first failure of an image that cannot be built either is raised at the end."""
    from solva.compose.errors import ComposeError
    from solva.compose.load.options import warn
    from solva.compose.plan import Plan

    builds = {service.image(project.name): service.name for service in project.services.values()
              if service.get("build") is not None}
    failures: list[tuple[str, ComposeError]] = []
    for op in _each_or_all(ops, options.on("ignore-pull-failures") or bool(builds)):
        try:
            app.run(Plan(op), progress)  # type: ignore[arg-type]
        except ComposeError as error:
            failures.append((op[0].body["reference"] if len(op) == 1 else "", error))
    buildable = [builds[reference] for reference, _ in failures if reference in builds]
    if buildable:
        warn("Some service image(s) must be built from source by running:\n    solva compose build "
             + " ".join(buildable))
    fatal = [error for reference, error in failures if reference not in builds]
    if fatal and not options.on("ignore-pull-failures"):
        raise fatal[0]
    return 0


def _each_or_all(ops: list[Op], apart: bool) -> Iterable[list[Op]]:
    return [[op] for op in ops] if apart else [ops]


def push(app: App, options: Options) -> int:
    from solva.compose.load.pipeline import select

    project = select(app.project(options.args), options.args, dependencies=options.on("include-deps"))
    return push_images(app, list(project.services.values()), project.name, quiet=options.on("quiet"),
                       ignore=options.on("ignore-push-failures"))


def push_images(app: App, services: Iterable[Service], project: str, *, quiet: bool, ignore: bool,
                built_only: bool = True) -> int:
    """Push each service's image; ComposeError for the first that fails, unless failures are ignored."""
    from solva.compose.errors import ComposeError
    from solva.compose.images import split
    from solva.errors import SolvaError

    progress = app.progress("Pushing", quiet=quiet)
    with progress:
        for service in services:
            if (built_only and service.get("build") is None) or not service.get("image"):
                if service.get("build") is not None:
                    progress.event(f"Image {service.image(project)}", "Skipped", "no image name to push it under")
                continue
            reference = service.image(project)
            subject = f"Image {reference}"
            progress.event(subject, "Pushing")
            name, tag = split(reference)
            headers = app.credentials.of(reference) or {"X-Registry-Auth": "e30="}
            try:
                if not app.dry_run:
                    with app.api.request("POST", f"/images/{name}/push", query={"tag": tag or "latest"},
                                         headers=headers) as response:
                        for message in response.lines():
                            if "error" in message:
                                raise ComposeError(str(message["error"]))
            except SolvaError as error:
                progress.event(subject, "Error", str(error).split("\n", 1)[0])
                if not ignore:
                    raise ComposeError(str(error)) from None
                continue
            progress.event(subject, "Pushed")
    return 0


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
