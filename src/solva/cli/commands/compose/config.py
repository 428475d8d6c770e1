"""``config``: the project as loaded, printed."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def config(app: App, options: Options) -> int:
    text = _text(app, options)
    if options.on("quiet"):
        return 0
    target = options.text("output")
    if target:
        with open(target, "w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        sys.stdout.write(text)
    return 0


def _text(app: App, options: Options) -> str:
    if options.on("environment"):
        values = app.load_options().environment
        return "".join(f"{key}={values[key]}\n" for key in sorted(values))
    if options.on("no-interpolate") or options.on("variables"):
        return _model(app, options)
    project = app.project(options.args, normalize=not options.on("no-normalize"),
                          resolve_paths=not options.on("no-path-resolution"),
                          consistency=not options.on("no-consistency"),
                          resolve_environment=not options.on("no-env-resolution"))
    if options.args:
        from solva.compose.load.pipeline import select

        project = select(project, options.args)
    if options.on("services"):
        return "".join(f"{name}\n" for name in project.services)
    if options.on("volumes"):
        return "".join(f"{name}\n" for name in sorted(project.volumes))
    if options.on("networks"):
        return "".join(f"{name}\n" for name in sorted(project.networks))
    if options.on("images"):
        return "".join(f"{service.image(project.name)}\n" for service in project.services.values())
    if options.on("profiles"):
        found = {item for service in (*project.services.values(), *project.disabled.values())
                 for item in service.get("profiles") or ()}
        return "".join(f"{name}\n" for name in sorted(found))
    if options.text("hash"):
        from solva.compose.hash import service_hash

        wanted = options.text("hash")
        names = list(project.services) if wanted == "*" else wanted.split(",")
        return "".join(f"{name} {service_hash(project.services[name])}\n" for name in names)
    from solva.compose import render

    if options.text("format") == "json":
        document = render.escaped(render.document(project, as_json=True))
        return render.go_json(render.for_json(document), indent=2) + "\n"
    from solva.compose.yamlout import dump

    return dump(render.escaped(render.document(project)))


def _model(app: App, options: Options) -> str:
    """``--no-interpolate`` and ``--variables``: the merged files, variables standing."""
    from solva.compose.load.interpolate import variables
    from solva.compose.load.pipeline import load_content
    from solva.compose.render import go_json
    from solva.compose.yamlout import dump

    settings = app.load_options(interpolate=False, normalize=not options.on("no-normalize"),
                                resolve_paths=not options.on("no-path-resolution"), resolve_environment=False)
    content = load_content(app.location.files, settings)
    if options.on("variables"):
        from solva.cli.output.table import align

        rows = [["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"]]
        rows += [[name, str(required).lower(), default, alternate]
                 for name, (default, alternate, required) in sorted(variables(content).items())]
        return "".join(line + "\n" for line in align(rows, min_width=20, padding=1))
    content = {"name": settings.name, **{key: value for key, value in content.items() if value}}
    return go_json(_sorted(content), indent=2) + "\n" if options.text("format") == "json" else dump(_sorted(content))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


COMMANDS = {"config": verb(
    "config", "[OPTIONS] [SERVICE...]", "Parse, resolve and render compose file in canonical format", config,
    Flag("environment", "", "bool", "Print environment used for interpolation."),
    Flag("format", "", "string", "Format the output. Values: [yaml | json]"),
    Flag("hash", "", "string", "Print the service config hash, one per line."),
    Flag("images", "", "bool", "Print the image names, one per line."),
    Flag("networks", "", "bool", "Print the network names, one per line."),
    Flag("no-consistency", "", "bool", "Don't check model consistency"),
    Flag("no-env-resolution", "", "bool", "Don't resolve service env files"),
    Flag("no-interpolate", "", "bool", "Don't interpolate environment variables"),
    Flag("no-normalize", "", "bool", "Don't normalize compose model"),
    Flag("no-path-resolution", "", "bool", "Don't resolve file paths"),
    Flag("output", "o", "string", "Save to file (default to stdout)"),
    Flag("profiles", "", "bool", "Print the profile names, one per line."),
    Flag("quiet", "q", "bool", "Only validate the configuration, don't print anything"),
    Flag("services", "", "bool", "Print the service names, one per line."),
    Flag("variables", "", "bool", "Print model variables and default values."),
    Flag("volumes", "", "bool", "Print the volume names, one per line."))}
