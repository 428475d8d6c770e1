"""``solva exec``: run a command in a running container."""

from __future__ import annotations

from solva.cli.commands.container import values
from solva.cli.commands.container.attached import resizer
from solva.cli.commands.container.create_flags import DETACH_KEYS
from solva.cli.commands.container.request import read_pairs
from solva.cli.flags import Command, Flag
from solva.cli.stream import Pump
from solva.cli.terminal import Detached, check_tty, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Execute a command."""
    container, *command = options.args
    return execute(session, container, command, options)


def execute(session: Session, container: str, command: list[str], options: Options) -> int:
    """Run ``command`` in ``container`` as the flags say; its exit status."""
    detach, tty, stdin = options.on("detach"), options.on("tty"), options.on("interactive")
    if not detach:
        check_tty(tty, stdin)
    keys = options.text("detach-keys") or str(session.config.get("detachKeys") or "")
    body: dict[str, Any] = {
        "User": options.text("user"),
        "Privileged": options.on("privileged"),
        "Tty": tty,
        "AttachStdin": stdin and not detach,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
        "DetachKeys": keys,
        "Env": read_pairs(options.many("env-file"), options.many("env"), environment=True) or None,
        "WorkingDir": options.text("workdir"),
        "Cmd": command,
    }
    start: dict[str, Any] = {"Detach": detach, "Tty": tty}
    window = size() if tty else None
    if window is not None:
        body["ConsoleSize"] = start["ConsoleSize"] = list(window)
    api = session.api
    identifier = api.json("POST", f"/containers/{container}/exec", body=body)["Id"]
    if detach:
        api.request("POST", f"/exec/{identifier}/start", body=start).close()
        return 0
    connection = api.hijack("POST", f"/exec/{identifier}/start", body=start)
    pump = Pump(connection, tty=tty, stdin=stdin, detach_keys=keys,
                on_resize=resizer(api, f"/exec/{identifier}/resize"))
    try:
        pump.run()
    except Detached:
        return 0
    finally:
        connection.close()
    return int(api.json("GET", f"/exec/{identifier}/json").get("ExitCode") or 0)


COMMAND = Command(
    "exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container", run,
    flags=(
        Flag("detach", "d", "bool", "Run the command in the background"),
        DETACH_KEYS,
        Flag("env", "e", "list", "Set environment variables", convert=values.environment),
        Flag("env-file", "", "list", "Read environment variables from a file"),
        Flag("interactive", "i", "bool", "Keep STDIN open even if not attached"),
        Flag("privileged", "", "bool", "Give extended privileges to the command"),
        Flag("tty", "t", "bool", "Allocate a pseudo-TTY"),
        Flag("user", "u", "string", 'User name or id (format: "<name|uid>[:<group|gid>]")'),
        Flag("workdir", "w", "string", "Working directory inside the container"),
    ),
    arity=(2, None), interspersed=False, aliases=("container exec", "exec"),
)
