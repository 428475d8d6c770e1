"""``solva network disconnect``."""

from __future__ import annotations

from solva.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Disconnect a container from a network."""
    network, container = options.args
    session.api.request("POST", f"/networks/{network}/disconnect",
                        body={"Container": container, "Force": options.on("force")}).close()
    return 0


COMMAND = Command(
    "network disconnect", "[OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network", run,
    flags=(Flag("force", "f", "bool", "Force the container off the network"),),
    arity=(2, 2),
)
