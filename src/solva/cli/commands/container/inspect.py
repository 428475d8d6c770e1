"""``solva container inspect``: details of containers."""

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
    api, size = session.api, options.on("size") or None
    return show_objects(
        options.args, lambda name: api.json("GET", f"/containers/{name}/json", query={"size": size}),
        options.text("format"))


COMMAND = Command(
    "container inspect", "[OPTIONS] CONTAINER [CONTAINER...]", "Display detailed information on containers", run,
    flags=(INSPECT, Flag("size", "s", "bool", "Display total file sizes")), arity=(1, None),
)
