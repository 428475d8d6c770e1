"""``solva start``: start stopped containers, one of them perhaps attached."""

from __future__ import annotations

from solva.cli.commands.container.attached import attach, begin_wait, exit_status, first_resize, pump_of
from solva.cli.commands.container.create_flags import DETACH_KEYS
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.session import response_error, say, warn
from solva.cli.terminal import Detached
from solva.client.transport import EngineUnreachable
from solva.errors import NotModified, SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Start containers; with -a or -i exactly one, attached."""
    if options.on("attach") or options.on("interactive"):
        if len(options.args) > 1:
            raise CommandError("you cannot start and attach multiple containers at once")
        return _attached(session, options, options.args[0])
    failed = []
    for name in options.args:
        try:
            session.api.request("POST", f"/containers/{name}/start").close()
        except NotModified:
            pass
        except EngineUnreachable:
            raise
        except SolvaError as error:
            warn(response_error(error))
            failed.append(name)
            continue
        _warn_of_firewalls(session, name)
        say(name)
    if failed:
        raise CommandError(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _warn_of_firewalls(session: Session, name: str) -> None:
    """Docker's API has no place for warnings in the answer to a start; an engine of another make knows of none."""
    try:
        answer = session.api.json("GET", "/solva/network/obstacles", query={"container": name})
    except SolvaError:
        return
    for text in answer["Warnings"]:
        warn(f"WARNING: {text}")


def _attached(session: Session, options: Options, name: str) -> int:
    api = session.api
    container = api.json("GET", f"/containers/{name}/json")
    identifier, config = container["Id"], container["Config"]
    keys = options.text("detach-keys") or str(session.config.get("detachKeys") or "")
    stdin = options.on("interactive") and config["OpenStdin"]
    connection = attach(api, identifier, stdin=stdin, stdout=True, stderr=True, detach_keys=keys)
    waiting = begin_wait(api, identifier, removed=container["HostConfig"]["AutoRemove"])
    pump = pump_of(api, identifier, connection, tty=config["Tty"], stdin=stdin, detach_keys=keys)

    def start() -> None:
        try:
            api.request("POST", f"/containers/{identifier}/start").close()
        except NotModified:
            pass
        first_resize(pump)

    try:
        pump.run(start)
    except Detached:
        return 0
    finally:
        connection.close()
    return exit_status(waiting)


COMMAND = Command(
    "start", "[OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers", run,
    flags=(
        Flag("attach", "a", "bool", "Attach STDOUT/STDERR and forward signals"),
        DETACH_KEYS,
        Flag("interactive", "i", "bool", "Attach the container's STDIN"),
    ),
    arity=(1, None), aliases=("container start", "start"),
)
