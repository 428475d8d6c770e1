"""``config``: the project as loaded, printed."""

from __future__ import annotations

import os
import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.project import Project


def config(app: App, options: Options) -> int:
    for name, function in _LISTS.items():
        if options.on(name) or (name in ("hash", "explain") and options.text(name)):
            text = function(app, options)
            if not options.on("quiet"):
                sys.stdout.write(text)
            return 0
    text = _model(app, options) if options.on("no-interpolate") else _project(app, options)
    if options.on("quiet"):
        return 0
    target = options.text("output")
    if target and text:
        with open(target, "w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        sys.stdout.write(text)
    return 0


def _steps(app: App, options: Options) -> dict[str, Any]:
    return {"normalize": not options.on("no-normalize") and not app.options.on("compatibility"),
            "resolve_paths": not options.on("no-path-resolution"), "consistency": not options.on("no-consistency"),
            "interpolate": not options.on("no-interpolate")}


def _load(app: App, options: Options, *, named: bool = True, **changes: Any) -> Project:
    project = app.project(options.args if named else (), **{
        **_steps(app, options), "interpolate": True, "keep_label_files": False, **changes})
    if named and options.args:
        from solva.compose.load.pipeline import select

        project = select(project, options.args)
    return project


def _form(options: Options) -> str:
    form = options.text("format") or "yaml"
    if form not in ("yaml", "json"):
        from solva.compose.errors import ComposeError

        raise ComposeError(f'unsupported format "{form}" (yaml or json)')
    return form


def _project(app: App, options: Options) -> str:
    from solva.compose import render

    form = _form(options)
    project = _load(app, options)
    lock = options.on("lock-image-digests")
    if lock or options.on("resolve-image-digests"):
        project = project.replace(services={
            name: service.with_(image=pinned(app, service.get("image"))) if service.get("image") else service
            for name, service in project.services.items()})
    document = render.document(_images_only(project) if lock else project, as_json=form == "json")
    if form == "json":
        from solva.compose.load.transform import null_lists

        shown = null_lists(render.for_json(render.escaped(document)), everything=False)
        return render.go_json(shown, indent=2) + "\n"
    from solva.compose.yamlout import dump

    if lock:
        del document["name"]
    return dump(render.escaped(document))


def _images_only(project: Project) -> Project:
    """What ``--lock-image-digests`` keeps: an override file with the images alone."""
    from solva.compose.project import Project, Service

    return Project("", services={name: Service(name, {"image": service.get("image")} if service.get("image") else {})
                                 for name, service in project.services.items()})


def pinned(app: App, image: str) -> str:
    """``image`` with the digest that its registry has for it now (``GET /distribution/{name}/json``)."""
    from solva.cli.references import parse
    from solva.compose.errors import ComposeError
    from solva.errors import SolvaError

    try:
        reference = parse(image)
    except ValueError as error:
        raise ComposeError(f'image "{image}": {error}') from None
    name = f"{reference.domain}/{reference.path}"
    if reference.digest:
        return f"{name}@{reference.digest}"
    try:
        found = app.api.json("GET", f"/distribution/{name}:{reference.tag or 'latest'}/json",
                             headers=app.credentials.of(image))
    except SolvaError as error:
        raise ComposeError(f"failed to resolve digest for {image}: {error}") from None
    return f"{name}:{reference.tag or 'latest'}@{found['Descriptor']['digest']}"


def _content(app: App, options: Options) -> dict[str, Any]:
    """The merged files, variables standing."""
    from solva.compose.errors import ComposeError
    from solva.compose.load.lookup import NOT_FOUND
    from solva.compose.load.pipeline import load_content

    if not app.location.files:
        raise ComposeError(NOT_FOUND)
    return load_content(app.location.files, app.load_options(**{**_steps(app, options), "interpolate": False}))


def _model(app: App, options: Options) -> str:
    from solva.compose import render
    from solva.compose.yamlout import dump

    form = _form(options)
    content = _content(app, options)
    lock = options.on("lock-image-digests")
    if lock or options.on("resolve-image-digests"):
        for entry in content["services"].values():
            if "image" in entry:
                entry["image"] = pinned(app, entry["image"])
    if lock:    # nothing but images
        content = {"services": {name: {key: value for key, value in entry.items() if key == "image"}
                                for name, entry in content["services"].items()}}
    shown = render.plain(content)
    if form == "yaml":
        return dump(shown)
    from solva.compose.load.transform import kept_lists, null_lists

    return render.go_json(null_lists(shown, everything=True, node=kept_lists()), indent=2) + "\n"


def _services(app: App, options: Options) -> str:
    if options.on("no-interpolate"):
        return _lines(_content(app, options).get("services") or ())
    project = _load(app, options, named=False, resolve_environment=False)
    return _lines(project.services)


def _volumes(app: App, options: Options) -> str:
    return _lines(sorted(_load(app, options, named=False, resolve_environment=False).volumes))


def _networks(app: App, options: Options) -> str:
    return _lines(sorted(_load(app, options, named=False, resolve_environment=False).networks))


def _models(app: App, options: Options) -> str:
    project = _load(app, options, named=False, resolve_environment=False)
    return _lines(model["model"] for _, model in sorted(project.models.items()) if model.get("model"))


def _hash(app: App, options: Options) -> str:
    from solva.compose.errors import ComposeError
    from solva.compose.hash import service_hash

    project = _load(app, options, named=False, resolve_environment=False, keep_env_files=True)
    wanted = options.text("hash")
    names = sorted(project.services if wanted == "*" else wanted.split(","))
    default = project.environment.get("DOCKER_DEFAULT_PLATFORM", "")
    lines = []
    for name in names:
        if name not in project.services:
            raise ComposeError(f"no such service: {name}: {'disabled' if name in project.disabled else 'not found'}")
        service = project.services[name]
        lines.append(f"{name} {service_hash(_on_platform(service, default))}")
    return _lines(lines)


def _on_platform(service: Any, default: str) -> Any:
    """``service`` with the platform that it would be built for."""
    if service.get("platform") or service.get("build") is None:
        return service
    platforms = service.get("build").get("platforms") or ()
    if default and platforms and default not in platforms:
        from solva.compose.errors import ComposeError

        raise ComposeError(f'service "{service.name}" build.platforms does not support value set by '
                           f'DOCKER_DEFAULT_PLATFORM: "{default}"')
    return service.with_(platform=default) if default else service


def _profiles(app: App, options: Options) -> str:
    project = _load(app, options, resolve_environment=False)
    return _lines(sorted({item for service in (*project.services.values(), *project.disabled.values())
                          for item in service.get("profiles") or ()}))


def _images(app: App, options: Options) -> str:
    project = _load(app, options, resolve_environment=False)
    return _lines(service.image(project.name) for service in project.services.values())


def _variables(app: App, options: Options) -> str:
    from solva.compose.load.interpolate import variables

    found = variables(_content(app, options))
    form = options.text("format")
    rows = {name: {"Name": name, "DefaultValue": use.default, "PresenceValue": use.presence, "Required": use.required}
            for name, use in sorted(found.items())}
    if form == "json":
        from solva.compose.render import go_json

        return go_json(rows) + "\n"
    if form == "yaml":
        from solva.compose.yamlout import dump

        return dump({name: {key.lower(): value for key, value in row.items()} for name, row in rows.items()})
    from solva.cli.output.table import align

    table = [["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"]]
    table += [[name, str(use.required).lower(), use.default, use.presence] for name, use in sorted(found.items())]
    return _lines(align(table, min_width=20, padding=1))


def _environment(app: App, options: Options) -> str:
    values = _load(app, options).environment
    return _lines(sorted(f"{key}={value}" for key, value in values.items()))


def _explain(app: App, options: Options) -> str:
    from solva.compose.errors import ComposeError
    from solva.compose.load.explain import explain
    from solva.compose.load.lookup import NOT_FOUND

    if not app.location.files:
        raise ComposeError(NOT_FOUND)
    return "".join(explain(name, app.location, os.environ, app.load_options(warn=lambda _: None))
                   for name in options.text("explain").split(","))


def _lines(rows: Any) -> str:
    return "".join(f"{row}\n" for row in rows)


_LISTS: dict[str, Callable[[App, Options], str]] = {
    "services": _services, "volumes": _volumes, "networks": _networks, "models": _models, "hash": _hash,
    "profiles": _profiles, "images": _images, "variables": _variables, "environment": _environment,
    "explain": _explain,
}
COMMANDS = {"config": verb(
    "config", "[OPTIONS] [SERVICE...]", "Parse, resolve and render compose file in canonical format", config,
    Flag("environment", "", "bool", "Print environment used for interpolation."),
    Flag("explain", "", "string", "Say what a variable is, where from, what it shadows and who uses it"),
    Flag("format", "", "string", "Format the output. Values: [yaml | json]"),
    Flag("hash", "", "string", "Print the service config hash, one per line."),
    Flag("images", "", "bool", "Print the image names, one per line."),
    Flag("lock-image-digests", "", "bool", "Produces an override file with image digests"),
    Flag("models", "", "bool", "Print the model names, one per line."),
    Flag("networks", "", "bool", "Print the network names, one per line."),
    Flag("no-consistency", "", "bool", "Don't check model consistency - warning: may produce invalid Compose output"),
    Flag("no-env-resolution", "", "bool", "Don't resolve service env files"),
    Flag("no-interpolate", "", "bool", "Don't interpolate environment variables"),
    Flag("no-normalize", "", "bool", "Don't normalize compose model"),
    Flag("no-path-resolution", "", "bool", "Don't resolve file paths"),
    Flag("output", "o", "string", "Save to file (default to stdout)"),
    Flag("profiles", "", "bool", "Print the profile names, one per line."),
    Flag("quiet", "q", "bool", "Only validate the configuration, don't print anything"),
    Flag("resolve-image-digests", "", "bool", "Pin image tags to digests"),
    Flag("services", "", "bool", "Print the service names, one per line."),
    Flag("variables", "", "bool", "Print model variables and default values."),
    Flag("volumes", "", "bool", "Print the volume names, one per line."))}
