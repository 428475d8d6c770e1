"""``solva attach``: the streams of a running container."""

from __future__ import annotations

from solva.cli.commands.container.attached import attach, exit_status, first_resize, pump_of
from solva.cli.commands.container.create_flags import DETACH_KEYS
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.terminal import Detached, check_tty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Attach until the container ends or the detach keys are typed."""
    api = session.api
    container = api.json("GET", f"/containers/{options.args[0]}/json")
    state, config, identifier = container["State"], container["Config"], container["Id"]
    if not state["Running"]:
        raise CommandError("cannot attach to a stopped container, start it first")
    if state["Paused"]:
        raise CommandError("cannot attach to a paused container, unpause it first")
    if state["Restarting"]:
        raise CommandError("cannot attach to a restarting container, wait until it is running")
    stdin = not options.on("no-stdin") and config["OpenStdin"]
    check_tty(config["Tty"], stdin)
    keys = options.text("detach-keys") or str(session.config.get("detachKeys") or "")
    waiting = api.request("POST", f"/containers/{identifier}/wait", query={"condition": "not-running"})
    connection = attach(api, identifier, stdin=stdin, stdout=True, stderr=True, detach_keys=keys)
    pump = pump_of(api, identifier, connection, tty=config["Tty"], stdin=stdin, detach_keys=keys,
                   sig_proxy=options.on("sig-proxy") and not config["Tty"])
    try:
        pump.run(lambda: first_resize(pump))
    except Detached:
        from solva.cli.session import warn

        warn("read escape sequence")
        return 0
    finally:
        connection.close()
    return exit_status(waiting)


COMMAND = Command(
    "attach", "[OPTIONS] CONTAINER", "Attach local standard input, output and error to a running container", run,
    flags=(
        DETACH_KEYS,
        Flag("no-stdin", "", "bool", "Do not attach STDIN"),
        Flag("sig-proxy", "", "bool", "Pass received signals to the process", default=True),
    ),
    arity=(1, 1), aliases=("container attach", "attach"),
)
