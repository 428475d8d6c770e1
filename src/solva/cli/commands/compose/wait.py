"""``wait``: until services' containers have ended."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from solva.compose.observe import Container


def wait(app: App, options: Options) -> int:
    from solva.compose.errors import ComposeError

    project = app.project_or_name(options.args)
    found = app.containers(project, options.args, every=False)
    if not found:
        raise ComposeError(f'no containers for project "{project.name}"')
    status = 0
    for item, status in _ends(app, found):
        sys.stdout.write(f'container "{item.name}" exited with status code {status}\n')
        sys.stdout.flush()
        if options.on("down-project"):
            from solva.cli.commands.compose.down import COMMANDS as DOWN
            from solva.cli.flags import parse

            DOWN["down"].run(app, parse(DOWN["down"], []))  # type: ignore[arg-type]
            return status
    return status


def _ends(app: App, found: list[Container]) -> Iterator[tuple[Container, int]]:
    """Each container with its status, as they end."""
    import queue
    import threading

    ended: queue.SimpleQueue[tuple[Container, int | Exception]] = queue.SimpleQueue()

    def one(item: Container) -> None:
        try:
            answer = app.api.json("POST", f"/containers/{item.id}/wait", query={"condition": "not-running"})
            ended.put((item, int(answer.get("StatusCode", 0))))
        except Exception as error:
            ended.put((item, error))

    for item in found:
        threading.Thread(target=one, args=(item,), daemon=True).start()
    for _ in found:
        item, status = ended.get()
        if isinstance(status, Exception):
            raise status
        yield item, status


COMMANDS = {"wait": verb(
    "wait", "SERVICE [SERVICE...] [OPTIONS]", "Block until containers of all (or specified) services stop.", wait,
    Flag("down-project", "", "bool", "Drops project when the first container stops"), arity=(1, None))}
