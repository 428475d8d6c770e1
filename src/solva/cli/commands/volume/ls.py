"""``solva volume ls``: list volumes."""

from __future__ import annotations

from solva.cli.commands.common import list_flags
from solva.cli.flags import Command, filters_of
from solva.cli.output.listing import Listing
from solva.cli.output.order import natural
from solva.cli.output.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """List volumes, by name."""
    rows = session.api.json("GET", "/volumes", query={"filters": filters_of(options.many("filter"))})["Volumes"] or []
    rows.sort(key=lambda row: natural(row["Name"]))
    fmt = options.text("format") or str(session.config.get("volumesFormat") or "")
    LISTING.show(rows, format=fmt, quiet=options.on("quiet"))
    return 0


def _usage(row: Any, key: str, default: str = "N/A") -> Any:
    return (row.get("UsageData") or {}).get(key, default)


LISTING = Listing({
    "Driver": ("DRIVER", lambda row: row["Driver"]),
    "Name": ("VOLUME NAME", lambda row: row["Name"]),
    "Scope": ("SCOPE", lambda row: row.get("Scope", "")),
    "Mountpoint": ("MOUNTPOINT", lambda row: row.get("Mountpoint", "")),
    "Labels": ("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in sorted((row.get("Labels") or {}).items()))),
    "Links": ("LINKS", lambda row: str(_usage(row, "RefCount"))),
    "Size": ("SIZE", lambda row: human_size(_usage(row, "Size")) if row.get("UsageData") else "N/A"),
    "Status": ("STATUS", lambda row: "N/A"),
    "Availability": ("AVAILABILITY", lambda row: "N/A"),
    "Group": ("GROUP", lambda row: "N/A"),
}, ("Driver", "Name"), "Name", "*formatter.volumeContext",
    {"Label": ("", lambda row, name="": (row.get("Labels") or {}).get(name, ""))})

COMMAND = Command(
    "volume ls", "[OPTIONS]", "List volumes", run,
    flags=list_flags(quiet="Only display volume names"),
    arity=(0, 0), aliases=("volume ls", "volume list"),
)
