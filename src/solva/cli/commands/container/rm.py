"""``solva rm``: remove containers."""

from __future__ import annotations

from solva.cli.commands.container.each import together
from solva.cli.flags import Command, Flag
from solva.cli.session import warn
from solva.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Remove containers; with --force one that is not there is no failure, though it is said."""
    api, force = session.api, options.on("force")
    query = {"force": force or None, "v": options.on("volumes") or None, "link": options.on("link") or None}
    missing: list[str] = []

    def act(name: str) -> str | None:
        try:
            api.request("DELETE", f"/containers/{name.strip('/')}", query=query).close()
        except NotFound as error:
            if not force:
                raise
            missing.append(str(error))
            return ""
        return None

    status = together(options.args, act)
    for text in missing:
        warn(f"Error response from daemon: {text}")
    return status


COMMAND = Command(
    "rm", "[OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers", run,
    flags=(
        Flag("force", "f", "bool", "Remove even a running container (it is killed)"),
        Flag("link", "l", "bool", "Remove the link, not the container"),
        Flag("volumes", "v", "bool", "Remove the container's anonymous volumes too"),
    ),
    arity=(1, None), aliases=("container rm", "container remove", "rm"),
)
