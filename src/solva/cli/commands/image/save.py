"""``solva save``: images as a tar archive."""

from __future__ import annotations

from solva.cli.files import to_file_or_stdout
from solva.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Write images to a file or standard output."""
    with to_file_or_stdout(options.text("output"), "cowardly refusing to save to a terminal. Use the -o flag or "
                                                   "redirect") as sink:
        platform = options.text("platform")
        response = session.api.request("GET", "/images/get", query={
            "names": tuple(options.args), "platform": _platform(platform) if platform else None})
        with response:
            for data in response.chunks():
                sink.write(data)
    return 0


def _platform(text: str) -> str:
    from solva.client.fastjson import dumps

    return dumps(dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False)))


COMMAND = Command(
    "save", "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (to standard output by default)", run,
    flags=(
        Flag("output", "o", "string", "Write to a file, instead of standard output"),
        Flag("platform", "", "string", 'Save one platform alone: "os[/arch[/variant]]"'),
    ),
    arity=(1, None), aliases=("image save", "save"),
)
