"""``solva image prune``: Remove unused images."""

from __future__ import annotations

from solva.cli.commands.common import FORCE, PRUNE_FILTER
from solva.cli.confirm import confirmed, prune_filters, report
from solva.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Ask, then prune."""
    every = options.on("all")
    what = "all images without at least one container associated to them" if every else "all dangling images"
    if not confirmed(f"WARNING! This will remove {what}.", force=options.on("force")):
        return 0
    filters = prune_filters(options.many("filter"), dangling=["0" if every else "1"])
    answer = session.api.json("POST", "/images/prune", query={"filters": filters})
    names = [f"untagged: {row['Untagged']}" if row.get("Untagged") else f"deleted: {row.get('Deleted')}"
             for row in answer.get("ImagesDeleted") or []]
    report("Deleted Images:", names, answer.get("SpaceReclaimed", 0))
    return 0


COMMAND = Command(
    "image prune", "[OPTIONS]", "Remove unused images", run,
    flags=(FORCE, PRUNE_FILTER,
           Flag("all", "a", "bool", "Remove all unused images, not just dangling ones")), arity=(0, 0),
)
