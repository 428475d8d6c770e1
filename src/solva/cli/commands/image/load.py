"""``solva load``: images from a tar archive."""

from __future__ import annotations

import os
import sys

from solva.cli.errors import CommandError
from solva.cli.files import open_input, pieces
from solva.cli.flags import Command, Flag
from solva.cli.output.progress import show_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Load images from a file or standard input."""
    path = options.text("input")
    if not path and os.isatty(0):
        raise CommandError("requested load from stdin, but stdin is empty")
    quiet = options.on("quiet") or not sys.stdout.isatty()
    platform = options.text("platform")
    with open_input(path) as file:
        response = session.api.request("POST", "/images/load", upload=pieces(file), query={
            "quiet": quiet, "platform": _platform(platform) if platform else None,
        }, headers={"Content-Type": "application/x-tar"})
        with response:
            if "json" in response.headers.get("content-type", ""):
                show_stream(response.lines())
            else:
                for data in response.chunks():
                    sys.stdout.buffer.write(data)
    return 0


def _platform(text: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


COMMAND = Command(
    "load", "[OPTIONS]", "Load an image from a tar archive or standard input", run,
    flags=(
        Flag("input", "i", "string", "Read from a file, instead of standard input"),
        Flag("platform", "", "string", 'Load one platform alone: "os[/arch[/variant]]"'),
        Flag("quiet", "q", "bool", "Suppress the progress"),
    ),
    arity=(0, 0), aliases=("image load", "load"),
)
