"""Starting our own engine: the only place that knows how.

The CLI does it when its own socket does not answer. Two commands at once agree by a lock in the run directory; the
engine is detached (a session of its own, output into its log) and outlives the command.
"""

from __future__ import annotations

import os
import sys
import time

from solva.cli.errors import CommandError
from solva.client.transport import EngineUnreachable, Transport

READY_WITHIN = 10.0
_STEP = 0.004


def ensure_running(url: str) -> None:
    """Start the engine behind ``url`` unless it runs, and return when it answers; CommandError says why not."""
    import fcntl

    socket_path = url.removeprefix("unix://")
    run = os.path.dirname(socket_path)
    try:
        os.makedirs(run, mode=0o711, exist_ok=True)
        lock = os.open(os.path.join(run, "start.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(f"Cannot connect to the Solva engine at {url}, and starting it failed: {error}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if answers(url):
            return
        log_path = os.path.join(run, "engine.log")
        mark = _size(log_path)
        pid = spawn(socket_path, run, log_path)
        deadline = time.monotonic() + READY_WITHIN
        while not answers(url):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                raise CommandError(_failure(log_path, mark, f"it ended with status "
                                                            f"{os.waitstatus_to_exitcode(status)}"))
            if time.monotonic() > deadline:
                raise CommandError(_failure(log_path, mark, f"it did not answer within {READY_WITHIN:.0f} s"))
            time.sleep(_STEP)
    finally:
        os.close(lock)


def answers(url: str) -> bool:
    """Whether something accepts connections there."""
    try:
        Transport(url).connect().close()
    except EngineUnreachable:
        return False
    return True


def arguments(socket_path: str, run: str) -> list[str]:
    """The engine's command line."""
    command = [sys.executable, "-m", "solva.engine", "--socket", socket_path, "--run-root", run]
    for option, variable in (("--data-root", "SOLVA_DATA_ROOT"), ("--config", "SOLVA_CONFIG"),
                             ("--cluster", "SOLVA_CLUSTER"), ("--advertise", "SOLVA_ADVERTISE")):
        value = os.environ.get(variable)
        if value:
            command += [option, value]
    return command


def spawn(socket_path: str, run: str, log_path: str) -> int:
    """Start the engine detached from this terminal, its output in the log; its pid."""
    command = arguments(socket_path, run)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(command[0], command, environment(), setsid=True, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log_path, flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ])


def environment() -> dict[str, str]:
    """Ours, able to find the package wherever it was imported from."""
    result = dict(os.environ)
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    known = result.get("PYTHONPATH", "")
    if not package_root.endswith("site-packages") and package_root not in known.split(os.pathsep):
        result["PYTHONPATH"] = package_root + (os.pathsep + known if known else "")
    for name in ("SOLVA_HOST", "DOCKER_HOST", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"):
        result.pop(name, None)
    return result


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _failure(log_path: str, mark: int, reason: str) -> str:
    """What went wrong, with the last lines the engine wrote since ``mark``."""
    try:
        with open(log_path, "rb") as file:
            file.seek(mark)
            tail = file.read()[-4000:].decode(errors="replace").splitlines()[-12:]
    except OSError:
        tail = []
    lines = [f"Cannot start the Solva engine: {reason}"]
    lines += [f"  {line}" for line in tail]
    lines.append(f"Its log is {log_path}")
    return "\n".join(lines)
