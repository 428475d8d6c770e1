"""``solva ports``: every published port and who can reach it."""

from __future__ import annotations

from solva.cli.flags import Command, Flag
from solva.cli.output.table import align
from solva.cli.session import extension, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session

_HEAD = ["CONTAINER", "PROJECT", "PORT", "PUBLISHED", "LOOPBACK", "THIS HOST", "LAN", "NOTE"]


def run(session: Session, options: Options) -> int:
    """Ask the engine, which connects to each port; print a row a binding."""
    rows = extension(session, "GET", "/solva/ports")
    if options.args:
        from solva.cli.errors import CommandError

        known = {row["Container"] for row in rows}
        for name in options.args:
            if name not in known:
                raise CommandError(f"no running container {name} publishes a port")
        rows = [row for row in rows if row["Container"] in options.args]
    fmt = options.text("format")
    if fmt:
        from solva.cli.output.gojson import compact
        from solva.cli.output.template import Template

        template = None if fmt == "json" else Template(fmt)
        for row in rows:
            say(compact(row) if template is None else template.render(row))
        return 0
    for line in align([_HEAD, *(_cells(row) for row in rows)]):
        say(line.rstrip())
    return 0


def _cells(row: dict[str, Any]) -> list[str]:
    ip = f"[{row['HostIp']}]" if ":" in row["HostIp"] else row["HostIp"]
    port = f"{row['ContainerPort']}/{row['Protocol']}" if row["ContainerPort"] else "any"
    where = f"{ip}:{row['HostPort']}" if row["HostPort"] else ip or "host network"
    return [row["Container"], row["Project"], port, where, row["Loopback"], row["Host"], row["Lan"], row["Note"]]


COMMAND = Command(
    "ports", "[OPTIONS] [CONTAINER...]", "List published ports and who can reach them", run, flags=(
        Flag("format", "", "string", "Format each row: 'json', or a Go template"),), arity=(0, None),
    long="LOOPBACK and THIS HOST are found out by connecting to the port; LAN by walking through the rules of this\n"
         "machine, other programs' firewalls included.")
