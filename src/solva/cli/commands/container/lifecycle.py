"""Verbs that are one request for each container: stop, restart, kill, pause, unpause, wait, rename."""

from __future__ import annotations

from solva.cli.commands.container.each import each, together
from solva.cli.flags import Command, Flag
from solva.cli.session import response_error
from solva.client.transport import EngineUnreachable
from solva.errors import NotModified, SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def _stop_query(options: Options) -> dict[str, object]:
    timeout = None
    for name in ("timeout", "time"):
        if name in options.changed:
            timeout = options.number(name)
    return {"t": timeout, "signal": options.text("signal") or None}


def stop(session: Session, options: Options) -> int:
    """Stop containers, all at once."""
    api, query = session.api, _stop_query(options)

    def act(name: str) -> None:
        try:
            api.request("POST", f"/containers/{name}/stop", query=query).close()
        except NotModified:
            pass

    return together(options.args, act)


def restart(session: Session, options: Options) -> int:
    """Restart containers."""
    api, query = session.api, _stop_query(options)
    return each(options.args, lambda name: api.request("POST", f"/containers/{name}/restart", query=query).close())


def kill(session: Session, options: Options) -> int:
    """Kill containers, all at once."""
    api, query = session.api, {"signal": options.text("signal") or None}
    return together(options.args, lambda name: api.request("POST", f"/containers/{name}/kill", query=query).close())


def pause(session: Session, options: Options) -> int:
    """Pause containers."""
    api = session.api
    return each(options.args, lambda name: api.request("POST", f"/containers/{name}/pause").close())


def unpause(session: Session, options: Options) -> int:
    """Unpause containers."""
    api = session.api
    return each(options.args, lambda name: api.request("POST", f"/containers/{name}/unpause").close())


def wait(session: Session, options: Options) -> int:
    """Print exit codes as containers end."""
    api = session.api
    return each(options.args,
                lambda name: str(api.json("POST", f"/containers/{name}/wait", query={"condition": "not-running"})
                                 ["StatusCode"]))


def rename(session: Session, options: Options) -> int:
    """Give a container another name."""
    from solva.cli.errors import CommandError

    old, new = (word.strip() for word in options.args)
    if not old or not new:
        raise CommandError("Error: Neither old nor new names may be empty")
    try:
        session.api.request("POST", f"/containers/{old}/rename", query={"name": new}).close()
    except EngineUnreachable:
        raise
    except SolvaError as error:
        raise CommandError(f"{response_error(error)}\nError: failed to rename container named {old}") from None
    return 0


_SIGNAL = Flag("signal", "s", "string", "Signal to send to the container")
_STOP_FLAGS = (
    _SIGNAL,
    Flag("timeout", "t", "int", "Seconds to wait before killing the container"),
    Flag("time", "", "int", "Seconds to wait before killing the container", hidden=True),
)


def _many(verb: str) -> tuple[str, ...]:
    return (f"container {verb}", verb)


STOP = Command("stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers", stop,
               flags=_STOP_FLAGS, arity=(1, None), aliases=_many("stop"))
RESTART = Command("restart", "[OPTIONS] CONTAINER [CONTAINER...]", "Restart one or more containers", restart,
                  flags=_STOP_FLAGS, arity=(1, None), aliases=_many("restart"))
KILL = Command("kill", "[OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers", kill,
               flags=(_SIGNAL,), arity=(1, None), aliases=_many("kill"))
PAUSE = Command("pause", "CONTAINER [CONTAINER...]", "Pause all processes within one or more containers", pause,
                arity=(1, None), aliases=_many("pause"))
UNPAUSE = Command("unpause", "CONTAINER [CONTAINER...]", "Unpause all processes within one or more containers", unpause,
                  arity=(1, None), aliases=_many("unpause"))
WAIT = Command("wait", "CONTAINER [CONTAINER...]", "Block until containers stop, then print their exit codes", wait,
               arity=(1, None), aliases=_many("wait"))
RENAME = Command("rename", "CONTAINER NEW_NAME", "Rename a container", rename, arity=(2, 2), aliases=_many("rename"))
