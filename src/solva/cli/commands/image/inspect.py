"""``solva image inspect``: details of images."""

from __future__ import annotations

from solva.cli.commands.common import INSPECT
from solva.cli.flags import Command
from solva.cli.inspection import show_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print the objects."""
    api = session.api
    return show_objects(options.args, lambda name: api.json("GET", f"/images/{name}/json"), options.text("format"))


COMMAND = Command(
    "image inspect", "[OPTIONS] IMAGE [IMAGE...]", "Display detailed information on images", run,
    flags=(INSPECT,), arity=(1, None),
)
