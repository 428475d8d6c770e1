"""``solva context ls``."""

from __future__ import annotations

from solva.cli import contexts
from solva.cli.commands.common import LIST_FORMAT
from solva.cli.endpoint import own_socket
from solva.cli.flags import Command, Flag
from solva.cli.output.listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """List contexts; a star marks the current one."""
    current = session.endpoint.context
    url = session.endpoint.url if current == "default" else own_socket()
    rows = [{"Name": "default", "Description": "Solva's own engine, or what SOLVA_HOST or DOCKER_HOST names",
             "Host": url}]
    rows += [{"Name": context.name, "Description": context.description, "Host": context.host}
             for context in contexts.all_of(session.config_dir)]
    Listing({
        "Name": ("NAME", lambda row: f"{row['Name']} *" if row["Name"] == current and not options.text("format")
                 else row["Name"]),
        "Description": ("DESCRIPTION", lambda row: row["Description"]),
        "DockerEndpoint": ("DOCKER ENDPOINT", lambda row: row["Host"]),
        "Current": ("CURRENT", lambda row: row["Name"] == current),
        "Error": ("ERROR", lambda row: ""),
    }, ("Name", "Description", "DockerEndpoint", "Error"), "Name", "*formatter.clientContextContext").show(
        rows, format=options.text("format") or ("{{.Name}}" if options.on("quiet") else ""))
    return 0


COMMAND = Command("context ls", "[OPTIONS]", "List contexts", run, flags=(
    Flag("format", "", "string", LIST_FORMAT), Flag("quiet", "q", "bool", "Only show context names")),
    arity=(0, 0), aliases=("context ls", "context list"))
