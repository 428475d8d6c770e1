"""``solva run``: create, attach, wait, start, stream, and the container's exit status."""

from __future__ import annotations

from solva.cli.commands.container import create as creation
from solva.cli.commands.container.attached import attach, begin_wait, exit_status, first_resize, pump_of
from solva.cli.commands.container.create_flags import RUN
from solva.cli.errors import CommandError
from solva.cli.flags import Command
from solva.cli.session import response_error, say
from solva.cli.terminal import Detached, check_tty, detach_sequence, size
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Run a container."""
    if options.on("help"):
        return creation.show_help(options)
    image, *command = options.args
    detach = options.on("detach")
    body = creation.body_of(options, "run", image, command, detach=detach)
    if detach:
        if options.many("attach"):
            raise creation.failure("run", "conflicting options: cannot specify both --attach and --detach")
    else:
        check_tty(body["Tty"], body["AttachStdin"])
    window = size()
    if body["Tty"] and window is not None:
        body["HostConfig"]["ConsoleSize"] = list(window)
    keys = options.text("detach-keys") or str(session.config.get("detachKeys") or "")
    detach_sequence(keys)
    container = creation.create(session, options, body, "run")
    if not (body["AttachStdin"] or body["AttachStdout"] or body["AttachStderr"]):
        _start(session, container, removed=False)
        say(container)
        return 0
    return _attached(session, options, container, body, keys)


def _attached(session: Session, options: Options, container: str, body: dict[str, Any], keys: str) -> int:
    api = session.api
    removed = options.on("rm")
    connection = attach(api, container, stdin=body["AttachStdin"], stdout=body["AttachStdout"],
                        stderr=body["AttachStderr"], detach_keys=keys)
    waiting = begin_wait(api, container, removed=removed)
    pump = pump_of(api, container, connection, tty=body["Tty"], stdin=body["AttachStdin"],
                   stdout=body["AttachStdout"], stderr=body["AttachStderr"], detach_keys=keys,
                   sig_proxy=options.on("sig-proxy"))

    def start() -> None:
        try:
            api.request("POST", f"/containers/{container}/start").close()
        except SolvaError as error:
            if removed:
                waiting.read()  # the engine removes what did not start; then say why
            raise start_failure(error) from None
        first_resize(pump)

    if not (body["AttachStdout"] or body["AttachStderr"]):
        say(container)
    try:
        pump.run(start)
    except Detached:
        return 0
    finally:
        connection.close()
    if not (body["AttachStdout"] or body["AttachStderr"]):
        return 0
    return exit_status(waiting)


def _start(session: Session, container: str, *, removed: bool) -> None:
    try:
        session.api.request("POST", f"/containers/{container}/start").close()
    except SolvaError as error:
        raise start_failure(error) from None


def start_failure(error: SolvaError) -> CommandError:
    """The error of a start with Docker's statuses: 127 no such command, 126 not executable, 125 the rest."""
    text = str(error)
    status = 125
    if any(part in text for part in ("executable file not found", "no such file or directory",
                                     "system cannot find the file specified")):
        status = 127
    elif any(part in text.lower() for part in ("permission denied", "is a directory")):
        status = 126
    return creation.failure("run", response_error(error), status)


COMMAND = Command(
    "run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image", run,
    flags=RUN, arity=(1, None), interspersed=False, aliases=("container run", "run"),
)
