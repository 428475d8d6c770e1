"""``version``."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def version(app: App, options: Options) -> int:
    from solva.compose.labels import COMPOSE_VERSION

    if options.on("short"):
        sys.stdout.write(f"{COMPOSE_VERSION}\n")
    elif options.text("format") == "json":
        sys.stdout.write(f'{{"version":"{COMPOSE_VERSION}"}}\n')
    else:
        sys.stdout.write(f"Docker Compose version {COMPOSE_VERSION} (Solva)\n")
    return 0


COMMANDS = {"version": verb(
    "version", "[OPTIONS]", "Show the Docker Compose version information", version,
    Flag("format", "f", "string", "Format the output. Values: [pretty | json]. (Default: pretty)"),
    Flag("short", "", "bool", "Shows only Compose's version number"))}
