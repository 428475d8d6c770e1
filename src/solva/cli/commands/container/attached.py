"""What `run`, `start -a` and `attach` share: attach, forward signals and window size, wait for the exit status."""

from __future__ import annotations

from solva.cli.stream import Pump
from solva.cli.terminal import size
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from solva.client.transport import Connection, Response, Transport


def attach(api: Transport, container: str, *, stdin: bool, stdout: bool, stderr: bool, detach_keys: str,
           logs: bool = False) -> Connection:
    """The container's streams."""
    return api.hijack("POST", f"/containers/{container}/attach", query={
        "stream": True, "stdin": stdin or None, "stdout": stdout or None, "stderr": stderr or None,
        "logs": logs or None, "detachKeys": detach_keys or None,
    })


def begin_wait(api: Transport, container: str, *, removed: bool) -> Response:
    """Ask for the next exit before the start, on a connection of its own; the engine's head says it is listening."""
    return api.request("POST", f"/containers/{container}/wait",
                       query={"condition": "removed" if removed else "next-exit"})


def exit_status(waiting: Response) -> int:
    """The status the container ended with."""
    from solva.cli.session import warn
    from solva.client.fastjson import loads

    with waiting:
        data = waiting.read()
    try:
        answer = loads(data)
    except ValueError:
        warn("Error waiting for container: the engine gave no status")
        return 125
    failure = (answer.get("Error") or {}).get("Message")
    if failure:
        warn(f"Error waiting for container: {failure}")
        return 125
    return int(answer["StatusCode"])


def pump_of(api: Transport, container: str, connection: Connection, *, tty: bool, stdin: bool, stdout: bool = True,
            stderr: bool = True, detach_keys: str = "", sig_proxy: bool = True) -> Pump:
    """A pump that forwards signals (when asked) and window sizes to the container."""
    def forward(name: str) -> None:
        try:
            api.request("POST", f"/containers/{container}/kill", query={"signal": name}).close()
        except SolvaError:
            pass  # it has just ended, or does not know the signal: Docker's client ignores both

    return Pump(connection, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr, detach_keys=detach_keys,
                on_signal=forward if sig_proxy else None, on_resize=resizer(api, f"/containers/{container}/resize"))


def resizer(api: Transport, path: str) -> Callable[[int, int], None]:
    """A function that tells the engine the window's size."""
    def resize(lines: int, columns: int) -> None:
        try:
            api.request("POST", path, query={"h": lines, "w": columns}).close()
        except SolvaError:
            pass  # not started yet, or ended

    return resize


def first_resize(pump: Pump) -> None:
    """Tell the window's size once the process runs."""
    window = size()
    if pump.on_resize is not None and window is not None:
        pump.on_resize(*window)
