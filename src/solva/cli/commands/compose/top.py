"""``top``: the processes of the services."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Options
from solva.cli.output.table import align


def top(app: App, options: Options) -> int:
    project = app.project_or_name(options.args)
    rows: list[list[str]] = []
    for item in sorted(app.containers(project, options.args, every=False), key=lambda item: item.name):
        answer = app.api.json("GET", f"/containers/{item.id}/top")
        if not rows:
            rows.append(["SERVICE", "#", *answer["Titles"]])
        rows += [[item.service, str(item.number), *process] for process in answer["Processes"]]
    sys.stdout.writelines(line + "\n" for line in align(rows, min_width=4, padding=2))
    return 0


COMMANDS = {"top": verb("top", "[SERVICES...]", "Display the running processes", top)}
