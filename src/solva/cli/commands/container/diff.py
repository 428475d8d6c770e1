"""``solva diff``: what changed on a container's filesystem."""

from __future__ import annotations

from solva.cli.flags import Command
from solva.cli.output.table import clean
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print C, A or D and the path of each change."""
    for change in session.api.json("GET", f"/containers/{options.args[0]}/changes") or []:
        say(f"{'CAD'[change['Kind']]} {clean(change['Path'])}")
    return 0


COMMAND = Command("diff", "CONTAINER", "Show what changed on a container's filesystem", run, arity=(1, 1),
                  aliases=("container diff", "diff"))
