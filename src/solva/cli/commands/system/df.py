"""``solva system df``: disk usage."""

from __future__ import annotations

from solva.cli.commands.common import LIST_FORMAT
from solva.cli.commands.image.ls import image_columns, rows_of
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.output.listing import Listing
from solva.cli.output.units import ago, ellipsis, epoch, human_size
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print a row for each kind of object, or the objects with -v."""
    usage = session.api.json("GET", "/system/df")
    if options.on("verbose"):
        if options.text("format"):
            raise CommandError("--format with --verbose is not supported")
        _verbose(usage)
        return 0
    Listing({
        "Type": ("TYPE", lambda row: row[0]),
        "TotalCount": ("TOTAL", lambda row: str(row[1])),
        "Active": ("ACTIVE", lambda row: str(row[2])),
        "Size": ("SIZE", lambda row: human_size(row[3], 4)),
        "Reclaimable": ("RECLAIMABLE", _reclaimable),
    }, ("Type", "TotalCount", "Active", "Size", "Reclaimable"), "Type", "*formatter.diskUsageContext").show(
        _summary(usage), format=options.text("format"))
    return 0


def _reclaimable(row: Any) -> str:
    _, _, _, size, free = row
    text = human_size(free, 4)
    return f"{text} ({free * 100 // size}%)" if size > 0 and row[0] != "Build Cache" else text


def _summary(usage: dict[str, Any]) -> list[tuple[str, int, int, int, int]]:
    """(kind, how many, how many in use, bytes, bytes that a prune would free)."""
    images, containers = usage.get("Images") or [], usage.get("Containers") or []
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    layers = usage.get("LayersSize", 0)
    used = sum(image["Size"] - max(image.get("SharedSize", 0), 0) for image in images if image.get("Containers", 0) > 0)
    live = [row for row in containers if row.get("State") in ("running", "paused", "restarting")]
    held = [row for row in volumes if (row.get("UsageData") or {}).get("RefCount", 0) > 0]
    sizes = [max((row.get("UsageData") or {}).get("Size", 0), 0) for row in volumes]
    held_size = sum(max((row.get("UsageData") or {}).get("Size", 0), 0) for row in held)
    written = sum(row.get("SizeRw", 0) for row in containers)
    cached = sum(row.get("Size", 0) for row in cache if not row.get("Shared"))
    busy = sum(row.get("Size", 0) for row in cache if row.get("InUse") and not row.get("Shared"))
    return [
        ("Images", len(images), sum(1 for image in images if image.get("Containers", 0) > 0), layers, layers - used),
        ("Containers", len(containers), len(live), written, written - sum(row.get("SizeRw", 0) for row in live)),
        ("Local Volumes", len(volumes), len(held), sum(sizes), sum(sizes) - held_size),
        ("Build Cache", len(cache), sum(1 for row in cache if row.get("InUse")), cached, cached - busy),
    ]


def _verbose(usage: dict[str, Any]) -> None:
    say("Images space usage:\n")
    images = [row for image in usage.get("Images") or [] for row in rows_of(image, False)]
    say(Listing(image_columns(True), ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize",
                                      "Containers"), "ID", "").table(images))
    say("Containers space usage:\n")
    say(Listing({
        "ID": ("CONTAINER ID", lambda row: row["Id"][:12]),
        "Image": ("IMAGE", lambda row: row.get("Image", "")),
        "Command": ("COMMAND", lambda row: f'"{ellipsis(row.get("Command", ""), 20)}"'),
        "LocalVolumes": ("LOCAL VOLUMES", lambda row: sum(
            1 for mount in row.get("Mounts") or [] if mount.get("Driver") == "local")),
        "Size": ("SIZE", lambda row: human_size(row.get("SizeRw", 0))),
        "RunningFor": ("CREATED", lambda row: ago(row.get("Created", 0))),
        "Status": ("STATUS", lambda row: row.get("Status", "")),
        "Names": ("NAMES", lambda row: ",".join(name.strip("/") for name in row.get("Names") or [])),
    }, ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"), "ID", "").table(
        usage.get("Containers") or []))
    say("Local Volumes space usage:\n")
    say(Listing({
        "Name": ("VOLUME NAME", lambda row: row["Name"]),
        "Links": ("LINKS", lambda row: (row.get("UsageData") or {}).get("RefCount", "N/A")),
        "Size": ("SIZE", lambda row: human_size(row["UsageData"]["Size"]) if row.get("UsageData") else "N/A"),
    }, ("Name", "Links", "Size"), "Name", "").table(usage.get("Volumes") or []))
    cache = usage.get("BuildCache") or []
    say(f"Build cache usage: {human_size(sum(row.get('Size', 0) for row in cache if not row.get('Shared')), 4)}\n")
    say(Listing({
        "ID": ("CACHE ID", lambda row: row["ID"][:12]),
        "Type": ("CACHE TYPE", lambda row: row.get("Type", "")),
        "Size": ("SIZE", lambda row: human_size(row.get("Size", 0))),
        "Created": ("CREATED", lambda row: ago(epoch(row.get("CreatedAt") or ""))),
        "Used": ("LAST USED", lambda row: ago(epoch(row.get("LastUsedAt") or ""))),
        "Usage": ("USAGE", lambda row: row.get("UsageCount", 0)),
        "Shared": ("SHARED", lambda row: str(bool(row.get("Shared"))).lower()),
    }, ("ID", "Type", "Size", "Created", "Used", "Usage", "Shared"), "ID", "").table(cache))


COMMAND = Command("system df", "[OPTIONS]", "Show disk usage", run, flags=(
    Flag("format", "", "string", LIST_FORMAT),
    Flag("verbose", "v", "bool", "Show every object"),
), arity=(0, 0))
