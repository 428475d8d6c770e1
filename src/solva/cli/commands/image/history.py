"""``solva history``: how an image came to be."""

from __future__ import annotations

from solva.cli.commands.common import LIST_FORMAT, NO_TRUNC
from solva.cli.flags import Command, Flag
from solva.cli.output.listing import Listing
from solva.cli.output.units import ago, ellipsis, human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Show the layers of an image, newest first."""
    query = None
    if options.text("platform"):
        names = ("os", "architecture", "variant")
        query = {"platform": dict(zip(names, options.text("platform").split("/"), strict=False))}
    rows = session.api.json("GET", f"/images/{options.args[0]}/history", query=query)
    truncate = not options.on("no-trunc")
    human = options.on("human")

    def created_by(row: Any) -> str:
        text = row.get("CreatedBy", "").replace("\t", " ")
        return ellipsis(text, 45) if truncate else text

    def identifier(row: Any) -> str:
        return short_id(row["Id"]) if truncate else row["Id"]

    listing = Listing({
        "ID": ("IMAGE", identifier),
        "CreatedSince": ("CREATED", lambda row: ago(row["Created"]) if human else _stamp(row["Created"])),
        "CreatedAt": ("CREATED AT", lambda row: _stamp(row["Created"])),
        "CreatedBy": ("CREATED BY", created_by),
        "Size": ("SIZE", lambda row: human_size(row["Size"]) if human else str(row["Size"])),
        "Comment": ("COMMENT", lambda row: row.get("Comment", "")),
    }, ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"), "ID", "*image.historyContext")
    listing.show(rows, format=options.text("format"), quiet=options.on("quiet"))
    return 0


def _stamp(created: int) -> str:
    import time

    if created <= 0:
        return "N/A"
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(created))
    return text[:-5] + "Z" if text.endswith("+0000") else f"{text[:-2]}:{text[-2:]}"


COMMAND = Command(
    "history", "[OPTIONS] IMAGE", "Show the history of an image", run,
    flags=(
        Flag("format", "", "string", LIST_FORMAT),
        Flag("human", "H", "bool", "Print sizes and dates for people", default=True),
        NO_TRUNC,
        Flag("platform", "", "string", 'Show one platform: "os[/arch[/variant]]"'),
        Flag("quiet", "q", "bool", "Only show image IDs"),
    ),
    arity=(1, 1), aliases=("image history", "history"),
)
