"""``solva container prune``: Remove all stopped containers."""

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
    if not confirmed("WARNING! This will remove all stopped containers.", force=options.on("force")):
        return 0
    filters = prune_filters(options.many("filter"))
    answer = session.api.json("POST", "/containers/prune", query={"filters": filters})
    report("Deleted Containers:", answer.get("ContainersDeleted") or [], answer.get("SpaceReclaimed", 0))
    return 0


COMMAND = Command(
    "container prune", "[OPTIONS]", "Remove all stopped containers", run,
    flags=(FORCE, PRUNE_FILTER,), arity=(0, 0),
)
