"""``solva volume rm``: remove volumes."""

from __future__ import annotations

from solva.cli.commands.container.each import each
from solva.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Remove volumes."""
    api, query = session.api, {"force": options.on("force") or None}
    return each(options.args, lambda name: api.request("DELETE", f"/volumes/{name}", query=query).close())


COMMAND = Command(
    "volume rm", "[OPTIONS] VOLUME [VOLUME...]", "Remove one or more volumes", run,
    flags=(Flag("force", "f", "bool", "A volume that does not exist is no error"),),
    arity=(1, None), aliases=("volume rm", "volume remove"),
)
