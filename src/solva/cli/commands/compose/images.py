"""``images`` and ``volumes``."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options
from solva.cli.output.table import align


def images(app: App, options: Options) -> int:
    from solva.cli.output.units import ago, epoch, human_size
    from solva.errors import NotFound

    project = app.project_or_name(options.args)
    rows = []
    for item in sorted(app.containers(project, options.args), key=lambda item: item.name):
        try:
            image = app.api.json("GET", f"/images/{item.image_id}/json")
        except NotFound:
            continue
        given = item.data.get("Image", "")
        tags = image.get("RepoTags") or []
        named = next((tag for tag in tags if tag in (given, f"{given}:latest")), tags[0] if tags else "<none>:<none>")
        repository, _, tag = named.rpartition(":")
        rows.append({"ID": image["Id"], "ContainerName": item.name, "Repository": repository, "Tag": tag,
                     "Platform": f"{image.get('Os', '')}/{image.get('Architecture', '')}",
                     "Size": image.get("Size", 0), "Created": image.get("Created", "")})
    if options.on("quiet"):
        sys.stdout.writelines(f"{value}\n" for value in dict.fromkeys(
            str(row["ID"]).removeprefix("sha256:") for row in rows))
    elif options.text("format") == "json":
        from solva.cli.output.gojson import compact

        sys.stdout.write(compact(rows) + "\n")
    else:
        table = [["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"]]
        table += [[str(row["ContainerName"]), str(row["Repository"]), str(row["Tag"]), str(row["Platform"]),
                   str(row["ID"]).removeprefix("sha256:")[:12], human_size(float(row["Size"])),
                   ago(epoch(str(row["Created"])))] for row in rows]
        sys.stdout.writelines(line + "\n" for line in align(table, min_width=20, padding=1))
    return 0


def volumes(app: App, options: Options) -> int:
    from solva.compose import observe

    project = app.project_or_name(options.args)
    found = observe.volumes(app.api, project.name)
    if options.args:
        used = {mount.get("Name") for item in app.containers(project, options.args)
                for mount in item.data.get("Mounts") or ()}
        found = {name: entry for name, entry in found.items() if name in used}
    if options.on("quiet"):
        sys.stdout.writelines(f"{name}\n" for name in sorted(found))
        return 0
    if options.text("format") == "json":
        from solva.cli.output.gojson import compact

        sys.stdout.writelines(compact(entry) + "\n" for _, entry in sorted(found.items()))
        return 0
    if options.text("format") not in ("", "table"):
        from solva.cli.commands.volume.ls import LISTING

        LISTING.show([entry for _, entry in sorted(found.items())], format=options.text("format"))
        return 0
    rows = [["DRIVER", "VOLUME NAME"], *([entry["Driver"], name] for name, entry in sorted(found.items()))]
    sys.stdout.writelines(line + "\n" for line in align(rows, min_width=10, padding=3))
    return 0


_FORMAT = Flag("format", "", "string", "Format the output. Values: [table | json]", default="table")
COMMANDS = {
    "images": verb("images", "[OPTIONS] [SERVICE...]", "List images used by the created containers", images, _FORMAT,
                   Flag("quiet", "q", "bool", "Only display IDs")),
    "volumes": verb("volumes", "[OPTIONS] [SERVICE...]", "List volumes", volumes, _FORMAT,
                    Flag("quiet", "q", "bool", "Only display volume names")),
}
