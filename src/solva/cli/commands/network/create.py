"""``solva network create``."""

from __future__ import annotations

from solva.cli.commands.container.values import label
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.session import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Create a network and print its id."""
    answer = session.api.json("POST", "/networks/create", body=body_of(options))
    if answer.get("Warning"):
        warn(f"WARNING: {answer['Warning']}")
    say(answer["Id"])
    return 0


def body_of(options: Options) -> dict[str, Any]:
    """The request's body; CommandError when addresses do not fit together."""
    body: dict[str, Any] = {
        "Name": options.args[0],
        "Driver": options.text("driver"),
        "Scope": options.text("scope"),
        "IPAM": {
            "Driver": options.text("ipam-driver"),
            "Options": pairs(options.many("ipam-opt")),
            "Config": _ipam(options),
        },
        "Internal": options.on("internal"),
        "Attachable": options.on("attachable"),
        "Ingress": options.on("ingress"),
        "ConfigOnly": options.on("config-only"),
        "ConfigFrom": {"Network": options.text("config-from")} if options.text("config-from") else None,
        "Options": pairs(options.many("opt")),
        "Labels": pairs(options.many("label")),
    }
    for key, name in (("EnableIPv4", "ipv4"), ("EnableIPv6", "ipv6")):
        if name in options.changed:
            body[key] = options.on(name)
    return body


def pairs(items: list[str]) -> dict[str, str]:
    """``key=value`` words as a map."""
    return dict(item.partition("=")[::2] for item in items)


def _ipam(options: Options) -> list[dict[str, Any]]:
    """IPAM configurations: ranges, gateways and auxiliary addresses go to the subnet that contains them."""
    subnets = options.many("subnet")
    ranges, gateways = options.many("ip-range"), options.many("gateway")
    auxiliary = pairs(options.many("aux-address"))
    if not subnets and not (ranges or gateways or auxiliary):
        return []
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise CommandError("every ip-range or gateway must have a corresponding subnet")
    import ipaddress

    nets: list[Any] = []
    for text in subnets:
        try:
            net = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return [{"Subnet": text} for text in subnets]  # the engine says what is wrong about it
        for other in nets:
            if net.version == other.version and net.overlaps(other):
                raise CommandError("multiple overlapping subnet configuration is not supported")
        nets.append(net)
    configs: list[dict[str, Any]] = [{"Subnet": text} for text in subnets]

    def of(address: str, kind: str) -> dict[str, Any]:
        try:
            wanted = ipaddress.ip_network(address, strict=False)
        except ValueError:
            raise CommandError(f"invalid {kind}: {address}") from None
        for net, config in zip(nets, configs, strict=True):
            if wanted.version == net.version and wanted.subnet_of(net):
                return config
        raise CommandError(f"no matching subnet for {kind} {address}")

    for text in ranges:
        config = of(text, "range")
        if config.get("IPRange"):
            raise CommandError(f"cannot configure multiple ranges ({config['IPRange']}, {text}) on the same subnet "
                               f"({config['Subnet']})")
        config["IPRange"] = text
    for text in gateways:
        config = of(text, "gateway")
        if config.get("Gateway"):
            raise CommandError(f"cannot configure multiple gateways ({config['Gateway']}, {text}) for the same subnet "
                               f"({config['Subnet']})")
        config["Gateway"] = text
    for name, text in auxiliary.items():
        of(text, "aux-address").setdefault("AuxiliaryAddresses", {})[name] = text
    return configs


COMMAND = Command(
    "network create", "[OPTIONS] NETWORK", "Create a network", run,
    flags=(
        Flag("attachable", "", "bool", "Let containers attach by hand"),
        Flag("aux-address", "", "map", "Addresses that the driver uses itself"),
        Flag("config-from", "", "string", "Network whose configuration is copied"),
        Flag("config-only", "", "bool", "Create a configuration, not a network"),
        Flag("driver", "d", "string", "Driver of the network", default="bridge"),
        Flag("gateway", "", "strings", "Gateway of a subnet"),
        Flag("ingress", "", "bool", "Create the swarm's routing-mesh network"),
        Flag("internal", "", "bool", "No way to the outside"),
        Flag("ip-range", "", "strings", "Part of a subnet that container addresses are taken from"),
        Flag("ipam-driver", "", "string", "Driver of the addresses", default="default"),
        Flag("ipam-opt", "", "map", "Options of that driver"),
        Flag("ipv4", "", "bool", "Assign IPv4 addresses", default=True),
        Flag("ipv6", "", "bool", "Assign IPv6 addresses"),
        Flag("label", "", "list", "Set metadata", convert=label),
        Flag("opt", "o", "map", "Options of the driver"),
        Flag("scope", "", "string", "Scope of the network"),
        Flag("subnet", "", "strings", "Subnet in CIDR form"),
    ),
    arity=(1, 1),
)
