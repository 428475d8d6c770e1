"""``solva search``: look for images on Docker Hub."""

from __future__ import annotations

from solva.cli.credentials import auth_headers
from solva.cli.flags import Command, Flag, filters_of
from solva.cli.output.listing import Listing
from solva.cli.output.units import ellipsis
from solva.cli.references import DOCKER_HUB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Search by a term; the most starred first."""
    term = options.args[0]
    first = term.partition("/")[0]
    key = first if "/" in term and ("." in first or ":" in first) else DOCKER_HUB
    rows = session.api.json("GET", "/images/search", headers=auth_headers(session, key), query={
        "term": term, "limit": options.number("limit") or None, "filters": filters_of(options.many("filter"))})
    rows.sort(key=lambda row: -row.get("star_count", 0))
    truncate = not options.on("no-trunc")

    def description(row: Any) -> str:
        text = " ".join((row.get("description") or "").split())
        return ellipsis(text, 45) if truncate else text

    Listing({
        "Name": ("NAME", lambda row: row["name"]),
        "Description": ("DESCRIPTION", description),
        "StarCount": ("STARS", lambda row: str(row.get("star_count", 0))),
        "IsOfficial": ("OFFICIAL", lambda row: "[OK]" if row.get("is_official") else ""),
        "IsAutomated": ("AUTOMATED", lambda row: "[OK]" if row.get("is_automated") else ""),
    }, ("Name", "Description", "StarCount", "IsOfficial"), "Name", "*registry.searchContext").show(
        rows, format=options.text("format"))
    return 0


COMMAND = Command(
    "search", "[OPTIONS] TERM", "Search Docker Hub for images", run,
    flags=(
        Flag("filter", "f", "filter", "Show only what matches the condition"),
        Flag("format", "", "string", "Print with a Go template"),
        Flag("limit", "", "int", "Most results to show"),
        Flag("no-trunc", "", "bool", "Don't truncate output"),
    ),
    arity=(1, 1),
)
