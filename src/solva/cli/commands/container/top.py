"""``solva top``: the processes of a container."""

from __future__ import annotations

from solva.cli.flags import Command
from solva.cli.output.table import align, clean
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print what `ps` shows of the container."""
    container, *ps_args = options.args
    answer = session.api.json("GET", f"/containers/{container}/top", query={"ps_args": " ".join(ps_args) or None})
    rows = [answer["Titles"], *(answer["Processes"] or [])]
    say("\n".join(align([[clean(cell) for cell in row] for row in rows], min_width=20)))
    return 0


COMMAND = Command("top", "CONTAINER [ps OPTIONS]", "Display the running processes of a container", run,
                  arity=(1, None), interspersed=False, aliases=("container top", "top"))
