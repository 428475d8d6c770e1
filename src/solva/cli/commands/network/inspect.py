"""``solva network inspect``: details of networks."""

from __future__ import annotations

from solva.cli.commands.common import INSPECT
from solva.cli.flags import Command, Flag
from solva.cli.inspection import show_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print the objects."""
    api, verbose = session.api, options.on("verbose") or None
    return show_objects(
        options.args, lambda name: api.json("GET", f"/networks/{name}", query={"verbose": verbose}),
        options.text("format"))


COMMAND = Command(
    "network inspect", "[OPTIONS] NETWORK [NETWORK...]", "Display detailed information on networks", run,
    flags=(INSPECT, Flag("verbose", "v", "bool", "Verbose output for diagnostics")), arity=(1, None),
)
