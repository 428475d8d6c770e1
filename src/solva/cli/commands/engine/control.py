"""``solva engine``: run, start, stop our own engine, see whether it runs and what it wrote."""

from __future__ import annotations

import os
import sys
import time

from solva.cli import engine_start
from solva.cli.endpoint import own_socket, run_root
from solva.cli.errors import CommandError
from solva.cli.files import open_input
from solva.cli.flags import Command, Flag
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session

_STOP_WITHIN = 30.0


def run(session: Session, options: Options) -> int:
    """Become the engine, in the foreground."""
    activated = os.environ.get("LISTEN_PID") == str(os.getpid())      # then it is systemd that listens there
    if not activated and engine_start.answers(own_socket()):
        raise CommandError(f"the engine runs already (process {engine_pid() or 'unknown'})")
    root = run_root()
    os.makedirs(root, mode=0o711, exist_ok=True)
    command = engine_start.arguments(f"{root}/solva.sock", root)
    for name in ("data-root", "config", "cluster", "advertise"):
        if options.text(name):
            command += [f"--{name}", options.text(name)]
    sys.stdout.flush()
    told = {name: os.environ[name] for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID") if name in os.environ}
    os.execve(command[0], command, engine_start.environment() | told)      # the process that systemd started goes on


def start(session: Session, options: Options) -> int:
    """Start the engine in the background."""
    for name in ("cluster", "advertise"):
        if options.text(name):
            os.environ[f"SOLVA_{name.upper()}"] = options.text(name)
    engine_start.ensure_running(own_socket())
    say(f"running (process {engine_pid() or 'unknown'})")
    return 0


def stop(session: Session, options: Options) -> int:
    """End the engine's process and wait for it; containers go on."""
    pid = engine_pid()
    if pid is None:
        say("not running")
        return 0
    os.kill(pid, 15)
    deadline = time.monotonic() + _STOP_WITHIN
    while _is_engine(pid):
        if time.monotonic() > deadline:
            raise CommandError(f"the engine (process {pid}) has not ended within {_STOP_WITHIN:.0f} s")
        time.sleep(0.01)
    say("stopped")
    return 0


def status(session: Session, options: Options) -> int:
    """Whether the engine runs: status 0 and a line about it, or 3."""
    pid = engine_pid()
    answers = engine_start.answers(own_socket())
    if not answers:
        say(f"not answering (process {pid})" if pid else "not running")
        return 3
    from solva.client.transport import Transport

    version = Transport(own_socket()).json("GET", "/version")
    say(f"running: process {pid or 'unknown'}, version {version.get('Version', '?')}, {own_socket()}")
    return 0


def logs(session: Session, options: Options) -> int:
    """Print the engine's log, and go on with -f."""
    path = f"{run_root()}/engine.log"
    with open_input(path) as file:
        tail = options.text("tail")
        data = file.read()
        if tail != "all":
            if not tail.isdigit():
                raise CommandError(f'invalid value for "tail": {tail}')
            data = b"".join(data.splitlines(keepends=True)[-int(tail):]) if int(tail) else b""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        while options.on("follow"):
            data = file.read()
            if data:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            else:
                time.sleep(0.2)
    return 0


def engine_pid() -> int | None:
    """The engine's process, if it lives and is really ours."""
    try:
        with open(f"{run_root()}/engine.pid", encoding="ascii") as file:
            pid = int(file.read().strip())
    except (OSError, ValueError):
        return None
    return pid if _is_engine(pid) else None


def _is_engine(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return b"solva.engine" in words


_CLUSTER = (
    Flag("cluster", "", "string", "etcd of the overlay networks: etcd://HOST:PORT[,HOST:PORT...]"),
    Flag("advertise", "", "string", "Address (or interface) of this host that the engines of the others reach"))
RUN = Command("engine run", "[OPTIONS]", "Run the engine in the foreground", run, flags=(
    Flag("config", "", "string", "Configuration file"), Flag("data-root", "", "string", "Where data are kept"),
    *_CLUSTER), arity=(0, 0))
START = Command("engine start", "[OPTIONS]", "Start the engine unless it runs", start, flags=_CLUSTER, arity=(0, 0))
STOP = Command("engine stop", "", "Stop the engine; containers live on", stop, arity=(0, 0))
STATUS = Command("engine status", "", "Show whether the engine runs", status, arity=(0, 0))
LOGS = Command("engine logs", "[OPTIONS]", "Show the engine's log", logs, flags=(
    Flag("follow", "f", "bool", "Follow the log"),
    Flag("tail", "n", "string", "Number of lines to show from the end", default="all")), arity=(0, 0))
