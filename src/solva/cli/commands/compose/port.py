"""``port``: where a service's port is published."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def port(app: App, options: Options) -> int:
    from solva.compose.errors import ComposeError

    service, private = options.args
    protocol = options.text("protocol")
    if "/" in private:
        private, _, protocol = private.partition("/")
    item = app.one(service, options.number("index"))
    for entry in sorted(item.data.get("Ports") or (), key=lambda entry: ":" in entry.get("IP", "")):
        if str(entry["PrivatePort"]) == private and entry["Type"] == protocol and entry.get("PublicPort"):
            host = entry.get("IP", "")
            sys.stdout.write(f"[{host}]:{entry['PublicPort']}\n" if ":" in host else f"{host}:{entry['PublicPort']}\n")
            return 0
    raise ComposeError(f"no port {private}/{protocol} for container {item.name}")


COMMANDS = {"port": verb(
    "port", "[OPTIONS] SERVICE PRIVATE_PORT", "Print the public port for a port binding", port,
    Flag("index", "", "int", "Index of the container if service has multiple replicas"),
    Flag("protocol", "", "string", "tcp or udp", default="tcp"), arity=(2, 2))}
