"""``solva network prune``: Remove all unused networks."""

from __future__ import annotations

from solva.cli.commands.common import FORCE, PRUNE_FILTER
from solva.cli.confirm import confirmed, prune_filters, report
from solva.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Ask, then prune."""
    if not confirmed("WARNING! This will remove all custom networks not used by at least one container.",
                     force=options.on("force")):
        return 0
    filters = prune_filters(options.many("filter"))
    answer = session.api.json("POST", "/networks/prune", query={"filters": filters})
    report("Deleted Networks:", answer.get("NetworksDeleted") or [], None)
    return 0


COMMAND = Command(
    "network prune", "[OPTIONS]", "Remove all unused networks", run,
    flags=(FORCE, PRUNE_FILTER,), arity=(0, 0),
)
