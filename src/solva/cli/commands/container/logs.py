"""``solva logs``: what a container wrote."""

from __future__ import annotations

from solva.cli.flags import Command, Flag
from solva.cli.stream import Demultiplexer, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print the log, and go on with ``-f``."""
    from solva.cli.timestamps import api_time

    container = options.args[0]
    response = session.api.request("GET", f"/containers/{container}/logs", query={
        "stdout": True, "stderr": True,
        "follow": options.on("follow") or None,
        "timestamps": options.on("timestamps") or None,
        "details": options.on("details") or None,
        "tail": options.text("tail"),
        "since": api_time(options.text("since"), "since"),
        "until": api_time(options.text("until"), "until"),
    })
    kind = response.headers.get("content-type", "")
    if "multiplexed" in kind:
        raw = False
    elif "raw-stream" in kind:
        raw = True
    else:
        raw = bool(session.api.json("GET", f"/containers/{container}/json")["Config"]["Tty"])
    feed = (lambda data: write_all(1, data)) if raw else Demultiplexer(
        lambda data: write_all(1, data), lambda data: write_all(2, data)).feed
    with response:
        for data in response.chunks():
            feed(data)
    return 0


COMMAND = Command(
    "logs", "[OPTIONS] CONTAINER", "Fetch the logs of a container", run,
    flags=(
        Flag("details", "", "bool", "Show extra details that the logging driver keeps"),
        Flag("follow", "f", "bool", "Follow the output"),
        Flag("since", "", "string", 'Show what came since a time (e.g. "2013-01-02T13:23:37Z") or a while ago (e.g. '
                                    '"42m")'),
        Flag("tail", "n", "string", "Number of lines to show from the end", default="all"),
        Flag("timestamps", "t", "bool", "Show timestamps"),
        Flag("until", "", "string", 'Show what came before a time (e.g. "2013-01-02T13:23:37Z") or a while ago (e.g. '
                                    '"42m")'),
    ),
    arity=(1, 1), aliases=("container logs", "logs"),
)
