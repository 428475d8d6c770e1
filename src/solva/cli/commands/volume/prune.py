"""``solva volume prune``: Remove unused local volumes."""

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
    kind = "all" if every else "anonymous"
    if not confirmed(f"WARNING! This will remove {kind} local volumes not used by at least one container.",
                     force=options.on("force")):
        return 0
    filters = prune_filters(options.many("filter"), **({"all": ["1"]} if every else {}))
    answer = session.api.json("POST", "/volumes/prune", query={"filters": filters})
    report("Deleted Volumes:", answer.get("VolumesDeleted") or [], answer.get("SpaceReclaimed", 0))
    return 0


COMMAND = Command(
    "volume prune", "[OPTIONS]", "Remove unused local volumes", run,
    flags=(FORCE, PRUNE_FILTER,
           Flag("all", "a", "bool", "Remove all unused volumes, not just anonymous ones")), arity=(0, 0),
)
