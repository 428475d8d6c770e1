"""``graph``: the project as a picture; ``alpha viz`` as Docker Compose prints it."""

from __future__ import annotations

import os
import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def graph(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError
    from solva.compose import graph as drawing
    from solva.compose.load.pipeline import select

    target = options.text("output")
    layout = options.text("format") or {".svg": "svg", ".png": "png", ".mmd": "mermaid", ".dot": "dot"}.get(
        os.path.splitext(target)[1], "text")
    if layout not in ("text", "mermaid", "svg", "png", "dot"):
        raise CommandError(f'unsupported format "{layout}"; it is text, mermaid, svg, png or dot')
    project = select(app.project(options.args), options.args)
    found = drawing.Graph(project)
    if layout in ("svg", "png"):
        from solva.compose.graph_svg import svg

        text = svg(found)
    else:
        text = {"text": drawing.text, "mermaid": drawing.mermaid, "dot": drawing.dot}[layout](found)
    data = png(text) if layout == "png" else text.encode()
    if layout == "png" and not target and sys.stdout.isatty():
        raise CommandError("a picture is not for a terminal: use -o FILE.png")
    if target:
        with open(target, "wb") as stream:
            stream.write(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return 0


def png(svg: str) -> bytes:
    """The picture rendered; CommandError where the renderer is not installed."""
    from solva.cli.errors import CommandError

    try:
        import resvg_py
    except ImportError:
        raise CommandError("PNG needs the package resvg-py: pip install 'solva[png]' (or use -o FILE.svg)") from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=2))


def alpha(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError
    from solva.cli.flags import parse

    name, *rest = options.args
    if name == "viz":
        return viz(app, parse(VIZ, rest))
    if name == "publish":
        from solva.cli.commands.compose.publish import COMMANDS as PUBLISH

        return PUBLISH["publish"].run(app, parse(PUBLISH["publish"], rest))  # type: ignore[arg-type]
    if name in ("scale", "watch", "dry-run"):
        raise CommandError(f"compose alpha {name} has become `compose {name}`" if name != "dry-run" else
                           "compose alpha dry-run has become the option --dry-run of every command, and `compose plan`")
    if name == "generate":
        raise CommandError("compose alpha generate (a compose file from running containers) is not supported")
    raise CommandError(f'unknown docker command: "compose alpha {name}"')


def viz(app: App, options: Options) -> int:
    from solva.compose.graph import Graph, dot

    number = options.number("indentation-size")
    indent = " " * number if options.on("spaces") else "\t" * number
    sys.stdout.write(dot(Graph(app.project()), image=options.on("image"), networks=options.on("networks"),
                         ports=options.on("ports"), indent=indent))
    return 0


def bridge(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError

    raise CommandError("compose bridge (transformation images that convert compose files to Kubernetes manifests) is "
                       "not supported")


VIZ = verb("alpha viz", "[OPTIONS]", "EXPERIMENTAL - Generate a graphviz graph from your compose file", viz,
           Flag("image", "", "bool", "Include service's image name in output graph"),
           Flag("indentation-size", "", "int", "Number of tabs or spaces to use for indentation", default=1),
           Flag("networks", "", "bool", "Include service's attached networks in output graph"),
           Flag("ports", "", "bool", "Include service's exposed ports in output graph"),
           Flag("spaces", "", "bool", "If given, space character ' ' will be used to indent, otherwise tab character "
                "'\\t' will be used"))
COMMANDS = {
    "graph": verb("graph", "[OPTIONS] [SERVICE...]", "Draw services, dependencies, networks, volumes and ports", graph,
                  Flag("format", "", "string", "text, mermaid, svg, png or dot (default: by the output's name, else "
                       "text)"), Flag("output", "o", "string", "Write to a file, instead of STDOUT")),
    "alpha": verb("alpha", "COMMAND", "Experimental commands: viz, publish", alpha, arity=(1, None),
                  interspersed=False),
    "bridge": verb("bridge", "COMMAND", "Convert compose files into another model (not supported)", bridge,
                   arity=(0, None), interspersed=False),
}
