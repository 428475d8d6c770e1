"""``solva version``."""

from __future__ import annotations

import sys

from solva.cli.commands.common import INSPECT
from solva.cli.flags import Command
from solva.cli.pages import VERSION
from solva.cli.session import response_error, say, warn
from solva.client.transport import API_VERSION
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print the versions of client and engine."""
    failure = ""
    server: dict[str, Any] | None = None
    try:
        server = session.api.json("GET", "/version")
    except SolvaError as error:
        failure = response_error(error)
    python = ".".join(str(part) for part in sys.version_info[:3])
    client = {"Version": VERSION, "ApiVersion": API_VERSION, "DefaultAPIVersion": API_VERSION,
              "PythonVersion": python, "Os": "linux", "Arch": _architecture(), "Context": session.endpoint.context}
    fmt = options.text("format")
    if fmt:
        from solva.cli.output.gojson import compact
        from solva.cli.output.template import Template, TemplateError

        value = {"Client": client, "Server": server}
        try:
            say(compact(value) if fmt == "json" else Template(fmt).render(value))
        except TemplateError as error:
            raise error.begun("template parsing error") from None
    else:
        _show(client, server)
    if failure:
        warn(failure)
    return int(bool(failure))


def _show(client: dict[str, str], server: dict[str, Any] | None) -> None:
    rows = [("Version", client["Version"]), ("API version", client["ApiVersion"]),
            ("Python version", client["PythonVersion"]), ("OS/Arch", f"linux/{client['Arch']}"),
            ("Context", client["Context"])]
    say("Client:\n" + "\n".join(f" {name + ':':<18} {value}" for name, value in rows))
    if server is None:
        return
    say("\nServer:")
    components = server.get("Components") or [{"Name": "Engine", "Version": server.get("Version"), "Details": {
        "ApiVersion": server.get("ApiVersion"), "MinAPIVersion": server.get("MinAPIVersion"), "Os": server.get("Os"),
        "Arch": server.get("Arch")}}]
    for component in components:
        details = dict(component.get("Details") or {})
        say(f" {component['Name']}:\n  {'Version:':<17} {component.get('Version')}")
        if component["Name"] == "Engine":
            least = details.pop("MinAPIVersion", "")
            api = details.pop("ApiVersion", "")
            say(f"  {'API version:':<17} {api} (minimum version {least})")
            for key, label in (("GoVersion", "Go version"), ("PythonVersion", "Python version"),
                               ("GitCommit", "Git commit"), ("BuildTime", "Built")):
                if details.get(key):
                    say(f"  {label + ':':<17} {details[key]}")
            say(f"  {'OS/Arch:':<17} {details.get('Os')}/{details.get('Arch')}")
            say(f"  {'Experimental:':<17} {details.get('Experimental', 'false')}")
        else:
            for key, value in details.items():
                say(f"  {key + ':':<17} {value}")


def _architecture() -> str:
    import os

    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


COMMAND = Command("version", "[OPTIONS]", "Show version information", run, flags=(INSPECT,), arity=(0, 0))
