"""``solva network dns``: the name server behind 127.0.0.11, and its query log."""

from __future__ import annotations

import sys

from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.session import extension, say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Show the name server's state, switch its query log, print or follow that."""
    wanted = options.text("log")
    if wanted not in ("", "on", "off"):
        raise CommandError(f'invalid value for "log": {wanted} (it is on or off)')
    if wanted:
        status = extension(session, "POST", "/solva/dns", body={"QueryLog": wanted == "on"})
    else:
        status = extension(session, "GET", "/solva/dns")
    if not options.on("follow") and "tail" not in options.changed:
        say(f"Process:    {status['Pid']}\nQuery log:  {'on' if status['QueryLog'] else 'off'} ({status['LogFile']})\n"
            f"Containers: {len(status['Sandboxes'])}")
        for identifier, problem in sorted(status["Failed"].items()):
            say(f"Not served: {identifier[:12]}: {problem}")
        return int(bool(status["Failed"]))
    if not status["QueryLog"]:
        warn("The query log is off: solva network dns --log on")
    tail = options.text("tail")
    if tail != "all" and not tail.isdigit():
        raise CommandError(f'invalid value for "tail": {tail}')
    query = {"tail": -1 if tail == "all" else int(tail), "follow": options.on("follow")}
    with session.api.request("GET", "/solva/dns/log", query=query) as answer:
        for piece in answer.chunks():
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    return 0


COMMAND = Command("network dns", "[OPTIONS]", "Show the name server of containers and its query log", run, flags=(
    Flag("follow", "f", "bool", "Follow the log"),
    Flag("log", "", "string", "Switch the query log (on, off)"),
    Flag("tail", "n", "string", "Print the log from the number of lines before its end", default="all")),
    arity=(0, 0))
