"""``solva network connect``."""

from __future__ import annotations

from solva.cli.commands.container.values import link
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Connect a container to a network."""
    network, container = options.args
    driver_opts = {}
    for pair in options.many("driver-opt"):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise CommandError("invalid key/value pair format in driver options")
        driver_opts[key.strip()] = value.strip()
    ipam = {"IPv4Address": options.text("ip"), "IPv6Address": options.text("ip6"),
            "LinkLocalIPs": options.many("link-local-ip")}
    endpoint = {
        "IPAMConfig": {key: value for key, value in ipam.items() if value},
        "Links": options.many("link"),
        "Aliases": options.many("alias"),
        "DriverOpts": driver_opts,
        "GwPriority": options.number("gw-priority"),
    }
    session.api.request("POST", f"/networks/{network}/connect", body={
        "Container": container, "EndpointConfig": {key: value for key, value in endpoint.items() if value}}).close()
    return 0


COMMAND = Command(
    "network connect", "[OPTIONS] NETWORK CONTAINER", "Connect a container to a network", run,
    flags=(
        Flag("alias", "", "strings", "Add an alias of the container on the network"),
        Flag("driver-opt", "", "strings", "Options of the network's driver"),
        Flag("gw-priority", "", "int", "The network with the highest gives the default gateway"),
        Flag("ip", "", "string", 'IPv4 address (e.g., "172.30.100.104")'),
        Flag("ip6", "", "string", 'IPv6 address (e.g., "2001:db8::33")'),
        Flag("link", "", "list", "Add a link to another container", convert=link),
        Flag("link-local-ip", "", "strings", "Link-local addresses"),
    ),
    arity=(2, 2),
)
