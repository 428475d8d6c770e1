"""``solva network rm``: remove networks."""

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
    """Remove networks; with --force one that is not there is no failure."""
    status = 0
    for name in options.args:
        try:
            session.api.request("DELETE", f"/networks/{name}").close()
        except EngineUnreachable:
            raise
        except SolvaError as error:
            if options.on("force") and isinstance(error, NotFound):
                continue
            warn(response_error(error))
            status = 1
            continue
        say(name)
    if status:
        warn("exit status 1")
    return status


COMMAND = Command(
    "network rm", "[OPTIONS] NETWORK [NETWORK...]", "Remove one or more networks", run,
    flags=(Flag("force", "f", "bool", "A network that does not exist is no error"),),
    arity=(1, None), aliases=("network rm", "network remove"),
)
