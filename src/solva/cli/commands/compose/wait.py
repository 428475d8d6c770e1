"""``wait``: until services' containers have ended."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def wait(app: App, options: Options) -> int:
    from solva.compose.errors import ComposeError

    project = app.project_or_name(options.args)
    found = app.containers(project, options.args, every=False)
    if not found:
        raise ComposeError(f'no containers for project "{project.name}"')
    status = 0
    for item in found:
        answer = app.api.json("POST", f"/containers/{item.id}/wait", query={"condition": "not-running"})
        status = int(answer.get("StatusCode", 0))
        sys.stdout.write(f'container "{item.name}" exited with status code {status}\n')
        sys.stdout.flush()
        if options.on("down-project"):
            from solva.cli.commands.compose.down import COMMANDS as DOWN
            from solva.cli.flags import parse

            DOWN["down"].run(app, parse(DOWN["down"], []))  # type: ignore[arg-type]
            return status
    return status


COMMANDS = {"wait": verb(
    "wait", "SERVICE [SERVICE...] [OPTIONS]", "Block until containers of all (or specified) services stop.", wait,
    Flag("down-project", "", "bool", "Drops project when the first container stops"), arity=(1, None))}
