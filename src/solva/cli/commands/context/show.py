"""``solva context show``."""

from __future__ import annotations

from solva.cli.flags import Command
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print the current context's name."""
    say(session.endpoint.context)
    return 0


COMMAND = Command("context show", "", "Print the name of the current context", run, arity=(0, 0))
