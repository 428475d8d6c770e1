"""``solva rmi``: remove images."""

from __future__ import annotations

from solva.cli.flags import Command, Flag
from solva.cli.session import response_error, say, warn
from solva.client.transport import EngineUnreachable
from solva.errors import NotFound, SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Remove images or their tags; with --force a missing one is no failure."""
    failed = False
    force = options.on("force")
    for name in options.args:
        try:
            rows = session.api.json("DELETE", f"/images/{name}", query={
                "force": force or None, "noprune": options.on("no-prune") or None})
        except EngineUnreachable:
            raise
        except SolvaError as error:
            failed = failed or not (force and isinstance(error, NotFound))
            warn(response_error(error))
            continue
        for row in rows or []:
            say(f"Deleted: {row['Deleted']}" if row.get("Deleted") else f"Untagged: {row.get('Untagged')}")
    return int(failed)


COMMAND = Command(
    "rmi", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", run,
    flags=(
        Flag("force", "f", "bool", "Force removal of the image"),
        Flag("no-prune", "", "bool", "Keep untagged parents"),
    ),
    arity=(1, None), aliases=("image rm", "image remove", "rmi"),
)
