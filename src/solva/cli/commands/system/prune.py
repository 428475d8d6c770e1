"""``solva system prune``: all that is unused."""

from __future__ import annotations

from solva.cli.commands.common import FORCE
from solva.cli.confirm import confirmed, prune_filters, report
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.output.units import human_size
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Ask, then prune containers, networks, volumes (when asked for), images and the build cache."""
    every, volumes = options.on("all"), options.on("volumes")
    pairs = options.many("filter")
    if volumes and any(name == "until" for name, _ in pairs):
        raise CommandError('ERROR: The "until" filter is not supported with "--volumes"')
    what = ["all stopped containers", "all networks not used by at least one container"]
    if volumes:
        what.append("all anonymous volumes not used by at least one container")
    what.append("all images without at least one container associated to them" if every else "all dangling images")
    what.append("all build cache" if every else "unused build cache")
    warning = "WARNING! This will remove:\n" + "".join(f"  - {item}\n" for item in what)
    if not confirmed(warning, force=options.on("force")):
        return 0
    api, filters = session.api, prune_filters(pairs)
    total = 0
    answer = api.json("POST", "/containers/prune", query={"filters": filters})
    report("Deleted Containers:", answer.get("ContainersDeleted") or [], None)
    total += answer.get("SpaceReclaimed", 0)
    answer = api.json("POST", "/networks/prune", query={"filters": filters})
    report("Deleted Networks:", answer.get("NetworksDeleted") or [], None)
    if volumes:
        answer = api.json("POST", "/volumes/prune", query={"filters": filters})
        report("Deleted Volumes:", answer.get("VolumesDeleted") or [], None)
        total += answer.get("SpaceReclaimed", 0)
    answer = api.json("POST", "/images/prune", query={
        "filters": prune_filters(pairs, dangling=["0" if every else "1"])})
    report("Deleted Images:", [f"untagged: {row['Untagged']}" if row.get("Untagged") else f"deleted: {row['Deleted']}"
                               for row in answer.get("ImagesDeleted") or []], None)
    total += answer.get("SpaceReclaimed", 0)
    answer = api.json("POST", "/build/prune", query={"all": every or None, "filters": filters})
    report("Deleted build cache objects:", answer.get("CachesDeleted") or [], None)
    say(f"Total reclaimed space: {human_size(total + answer.get('SpaceReclaimed', 0), 4)}")
    return 0


COMMAND = Command("system prune", "[OPTIONS]", "Remove unused data", run, flags=(
    FORCE,
    Flag("all", "a", "bool", "Remove all unused images, not just dangling ones"),
    Flag("filter", "", "filter", 'Prune only what matches (e.g. "label=<key>=<value>")'),
    Flag("volumes", "", "bool", "Prune anonymous volumes too"),
), arity=(0, 0))
