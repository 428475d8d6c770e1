"""``solva inspect``: any object."""

from __future__ import annotations

from solva.cli.commands.common import INSPECT
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.inspection import first_of, show_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session

_PATHS = {"container": "/containers/{}/json", "image": "/images/{}/json", "network": "/networks/{}",
          "volume": "/volumes/{}", "service": "/services/{}", "task": "/tasks/{}", "node": "/nodes/{}",
          "plugin": "/plugins/{}/json", "secret": "/secrets/{}", "config": "/configs/{}"}
_TRIED = ("container", "image", "network", "volume")


def run(session: Session, options: Options) -> int:
    """Inspect objects of the given type, or of whichever type has the name."""
    kind = options.text("type")
    if "type" in options.changed and kind not in _PATHS:
        known = ", ".join(f'"{name}"' for name in sorted(_PATHS))
        raise CommandError(f'unknown type: "{kind}": must be one of {known}')
    size = options.on("size")
    if size and kind not in ("", "container"):
        from solva.cli.session import warn

        warn(f"WARNING: --size ignored for {kind}")

    def way(name: str) -> Callable[[str], Any]:
        path = _PATHS[name]
        query = {"size": True} if size and name == "container" else None
        return lambda text: session.api.json("GET", path.format(text), query=query)

    if kind:
        return show_objects(options.args, way(kind), options.text("format"))
    ways = [way(name) for name in _TRIED]
    return show_objects(options.args, lambda name: first_of(name, ways), options.text("format"))


COMMAND = Command(
    "inspect", "[OPTIONS] NAME|ID [NAME|ID...]", "Return low-level information on objects", run,
    flags=(INSPECT, Flag("size", "s", "bool", "Display total file sizes of containers"),
           Flag("type", "", "string", "Only inspect objects of the given type")),
    arity=(1, None),
)
