"""``solva network ls``: list networks."""

from __future__ import annotations

from solva.cli.commands.common import NO_TRUNC, list_flags
from solva.cli.flags import Command, filters_of
from solva.cli.output.listing import Listing
from solva.cli.output.order import natural
from solva.cli.output.units import go_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """List networks, by name."""
    rows = session.api.json("GET", "/networks", query={"filters": filters_of(options.many("filter"))})
    rows.sort(key=lambda row: natural(row["Name"]))
    whole = options.on("no-trunc")
    listing = Listing({
        "ID": ("NETWORK ID", lambda row: row["Id"] if whole else row["Id"][:12]),
        "Name": ("NAME", lambda row: row["Name"]),
        "Driver": ("DRIVER", lambda row: row["Driver"]),
        "Scope": ("SCOPE", lambda row: row["Scope"]),
        "IPv4": ("IPV4", lambda row: "true" if row.get("EnableIPv4", True) else "false"),
        "IPv6": ("IPV6", lambda row: "true" if row.get("EnableIPv6") else "false"),
        "Internal": ("INTERNAL", lambda row: "true" if row.get("Internal") else "false"),
        "Labels": ("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in sorted((row.get("Labels") or {}).items()))),
        "CreatedAt": ("CREATED AT", lambda row: go_time(row.get("Created", ""))),
    }, ("ID", "Name", "Driver", "Scope"), "ID", "*network.networkContext",
        {"Label": ("", lambda row, name="": (row.get("Labels") or {}).get(name, ""))})
    fmt = options.text("format") or str(session.config.get("networksFormat") or "")
    listing.show(rows, format=fmt, quiet=options.on("quiet"))
    return 0


COMMAND = Command(
    "network ls", "[OPTIONS]", "List networks", run,
    flags=list_flags(NO_TRUNC, quiet="Only display network IDs"),
    arity=(0, 0), aliases=("network ls", "network list"),
)
