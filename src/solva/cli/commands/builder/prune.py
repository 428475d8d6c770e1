"""``solva builder prune``: forget the build cache."""

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
    what = "all build cache" if every else "all dangling build cache"
    if not confirmed(f"WARNING! This will remove {what}.", force=options.on("force")):
        return 0
    answer = session.api.json("POST", "/build/prune", query={
        "all": every or None, "keep-storage": options.number("keep-storage") or None,
        "filters": prune_filters(options.many("filter"))})
    report("Deleted build cache objects:", answer.get("CachesDeleted") or [], answer.get("SpaceReclaimed", 0))
    return 0


COMMAND = Command(
    "builder prune", "[OPTIONS]", "Remove build cache", run,
    flags=(FORCE, PRUNE_FILTER,
           Flag("all", "a", "bool", "Remove all unused build cache, not just dangling ones"),
           Flag("keep-storage", "", "bytes", "Disk space to keep for the cache")),
    arity=(0, 0),
)
