"""``solva volume create``."""

from __future__ import annotations

from solva.cli.commands.container.values import label
from solva.cli.commands.network.create import pairs
from solva.cli.flags import Command, Flag
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Create a volume and print its name."""
    answer = session.api.json("POST", "/volumes/create", body={
        "Name": options.args[0] if options.args else "",
        "Driver": options.text("driver"),
        "DriverOpts": pairs(options.many("opt")),
        "Labels": pairs(options.many("label")),
    })
    say(answer["Name"])
    return 0


COMMAND = Command(
    "volume create", "[OPTIONS] [VOLUME]", "Create a volume", run,
    flags=(
        Flag("driver", "d", "string", "Driver of the volume", default="local"),
        Flag("label", "", "list", "Set metadata", convert=label),
        Flag("opt", "o", "map", "Options of the driver"),
    ),
    arity=(0, 1),
)
