"""``ps``: the project's containers."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options
from solva.cli.output.table import align
from solva.cli.output.units import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.observe import Container


def ps(app: App, options: Options) -> int:
    from solva.compose import observe
    from solva.compose.errors import ComposeError

    name = app.name()
    wanted_states = options.many("status")
    for item in options.many("filter"):
        key, value = item
        if key != "status":
            raise ComposeError(f'unknown filter "{key}"')
        wanted_states.append(value)
    every = options.on("all") or bool(wanted_states)
    found = [item for item in observe.containers(app.api, name, every=every) if options.on("all") or not item.one_off]
    if options.args:
        known = {item.service for item in observe.containers(app.api, name)}
        for service in options.args:
            if service not in known and service not in app.project().services:
                raise ComposeError(f"no such service: {service}")
        found = [item for item in found if item.service in options.args]
    elif not options.on("orphans"):
        project = app.project()
        found = [item for item in found if item.service in project.services]
    if wanted_states:
        found = [item for item in found if item.state in wanted_states]
    found.sort(key=lambda item: item.name)
    if options.on("quiet"):
        sys.stdout.writelines(f"{item.id}\n" for item in found)
        return 0
    if options.on("services"):
        sys.stdout.writelines(f"{service}\n" for service in dict.fromkeys(item.service for item in found))
        return 0
    return show(found, options.text("format"), not options.on("no-trunc"), name)


def show(found: list[Container], layout: str, trunc: bool, project: str) -> int:
    out = sys.stdout
    if layout == "json":
        from solva.cli.output.gojson import compact

        for item in found:
            out.write(compact(fields(item, project, trunc), html=True, sort=True) + "\n")
        return 0
    if layout and layout != "table" and not layout.startswith("table "):
        from solva.cli.output.template import Template

        template = Template(layout)
        for item in found:
            out.write(template.render(fields(item, project, trunc)) + "\n")
        return 0
    if layout.startswith("table "):
        return _columns(found, layout[6:], trunc, project)
    rows = [["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]]
    for item in found:
        value = fields(item, project, trunc)
        rows.append([value["Name"], value["Image"], value["Command"], value["Service"], value["RunningFor"],
                     value["Status"], value["Ports"]])
    out.writelines(line + "\n" for line in align(rows, min_width=10, padding=3))
    return 0


_HEADERS = {"ID": "CONTAINER ID", "RunningFor": "CREATED", "CreatedAt": "CREATED AT", "Names": "NAMES",
            "LocalVolumes": "LOCAL VOLUMES", "ExitCode": "EXIT CODE"}


def _columns(found: list[Container], source: str, trunc: bool, project: str) -> int:
    """``table TEMPLATE``: the template's columns under their headings."""
    from solva.cli.output.template import Template

    template = Template(source.replace("\\t", "\t").replace("\\n", "\n"))
    rows = [fields(item, project, trunc) for item in found]
    headings = {name: _HEADERS.get(name, name.upper()) for name in _NAMES}
    cells = [template.render(row).split("\t") for row in (headings, *rows)]
    sys.stdout.writelines(line + "\n" for line in align(cells, min_width=10, padding=3))
    return 0


_NAMES = ("Command", "CreatedAt", "ExitCode", "Health", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Name",
          "Names", "Networks", "Ports", "Project", "Publishers", "RunningFor", "Service", "Size", "State", "Status")


def fields(item: Container, project: str, trunc: bool = True) -> dict[str, Any]:
    """A container as `--format` sees it."""
    data = item.data
    command = data.get("Command", "")
    if trunc and len(command) > 18:
        command = command[:17] + "…"
    status = data.get("Status", "")
    mounts = data.get("Mounts") or ()
    ports = data.get("Ports") or ()
    import time

    return {
        "Command": f'"{command}"', "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC",
                                                             time.gmtime(data.get("Created", 0))),
        "ExitCode": _exit_code(status), "Health": _health(status), "ID": item.id[:12] if trunc else item.id,
        "Image": data.get("Image", ""), "Labels": ",".join(f"{key}={value}" for key, value in item.labels.items()),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in mounts)),
        "Mounts": ",".join(mount.get("Name") or mount.get("Source", "") for mount in mounts), "Name": item.name,
        "Names": item.name, "Networks": ",".join((data.get("NetworkSettings") or {}).get("Networks") or {}),
        "Ports": show_ports(ports), "Project": project, "Publishers": [
            {"URL": port.get("IP", ""), "TargetPort": port["PrivatePort"], "PublishedPort": port.get("PublicPort", 0),
             "Protocol": port["Type"]} for port in sorted(ports, key=_port_order)],
        "RunningFor": ago(data.get("Created", 0)), "Service": item.service, "Size": "0B", "State": item.state,
        "Status": status,
    }


def _exit_code(status: str) -> int:
    if status.startswith("Exited ("):
        code = status[8:].partition(")")[0]
        return int(code) if code.lstrip("-").isdigit() else 0
    return 0


def _health(status: str) -> str:
    for word in ("(healthy)", "(unhealthy)", "(health: starting)"):
        if status.endswith(word):
            return word.strip("()").removeprefix("health: ")
    return ""


def _port_order(port: dict[str, Any]) -> tuple[Any, ...]:
    return (port["PrivatePort"], port["Type"], ":" in port.get("IP", ""), port.get("IP", ""),
            port.get("PublicPort", 0))


def show_ports(ports: Any) -> str:
    """``0.0.0.0:80->80/tcp, [::]:80->80/tcp, 90/tcp``; consecutive ports as a range."""
    groups: list[list[Any]] = []
    for port in sorted(ports, key=lambda item: (item["Type"], ":" in item.get("IP", ""), item.get("IP", ""),
                                                item["PrivatePort"], item.get("PublicPort", 0))):
        address, public, private, kind = port.get("IP", ""), port.get("PublicPort", 0), port["PrivatePort"], \
            port["Type"]
        last = groups[-1] if groups else None
        if last and last[0] == address and last[5] == kind and private == last[4] + 1 and (
                public == last[2] + 1 if public else not last[2]):
            last[2], last[4] = public, private
        else:
            groups.append([address, public, public, private, private, kind])
    shown = []
    for address, low, high, first, last_private, kind in sorted(groups, key=lambda item: (item[3], item[5])):
        target = f"{first}" if first == last_private else f"{first}-{last_private}"
        if low:
            host = f"[{address}]" if ":" in address else address
            public = f"{low}" if low == high else f"{low}-{high}"
            shown.append(f"{host}:{public}->{target}/{kind}")
        else:
            shown.append(f"{target}/{kind}")
    return ", ".join(shown)


COMMANDS = {"ps": verb(
    "ps", "[OPTIONS] [SERVICE...]", "List containers", ps,
    Flag("all", "a", "bool", "Show all stopped containers (including those created by the run command)"),
    Flag("filter", "", "filter", "Filter services by a property (supported filters: status)"),
    Flag("format", "", "string", "Format output using a custom template"),
    Flag("no-trunc", "", "bool", "Don't truncate output"),
    Flag("orphans", "", "bool", "Include orphaned services (not declared by project)", default=True),
    Flag("quiet", "q", "bool", "Only display IDs"),
    Flag("services", "", "bool", "Display services"),
    Flag("status", "", "list", "Filter services by status. Values: [paused | restarting | removing | running | dead | "
         "created | exited]"))}
