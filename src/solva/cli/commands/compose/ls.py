"""``ls``: the projects on this engine."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options
from solva.cli.output.table import align


def ls(app: App, options: Options) -> int:
    from solva.compose import labels
    from solva.compose.observe import Container

    found = app.api.json("GET", "/containers/json", query={
        "all": True, "filters": {"label": [labels.PROJECT, f"{labels.CONFIG_HASH}"]}})
    projects: dict[str, list[Container]] = {}
    for data in found:
        item = Container(data)
        projects.setdefault(item.labels[labels.PROJECT], []).append(item)
    wanted = [value for key, value in options.many("filter") if key == "name"]
    rows = []
    for name, items in sorted(projects.items()):
        states: dict[str, int] = {}
        for item in items:
            states[item.state] = states.get(item.state, 0) + 1
        if not options.on("all") and "running" not in states:
            continue
        if wanted and not any(value in name for value in wanted):
            continue
        files: list[str] = []
        for item in items:
            files += [file for file in item.labels.get(labels.CONFIG_FILES, "").split(",") if file not in files]
        rows.append({"Name": name, "Status": ", ".join(f"{state}({count})" for state, count in sorted(states.items())),
                     "ConfigFiles": ",".join(files) or "N/A"})
    if options.on("quiet"):
        sys.stdout.writelines(row["Name"] + "\n" for row in rows)
    elif options.text("format") == "json":
        from solva.cli.output.gojson import compact

        sys.stdout.write(compact(rows) + "\n")
    else:
        table = [["NAME", "STATUS", "CONFIG FILES"], *(list(row.values()) for row in rows)]
        sys.stdout.writelines(line + "\n" for line in align(table, min_width=20, padding=1))
    return 0


COMMANDS = {"ls": verb(
    "ls", "[OPTIONS]", "List running compose projects", ls,
    Flag("all", "a", "bool", "Show all stopped Compose projects"),
    Flag("filter", "", "filter", "Filter output based on conditions provided"),
    Flag("format", "", "string", "Format the output. Values: [table | json]", default="table"),
    Flag("quiet", "q", "bool", "Only display project names"))}
