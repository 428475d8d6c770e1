"""``solva import``: a tarball as an image."""

from __future__ import annotations

from solva.cli.errors import CommandError
from solva.cli.files import open_input, pieces
from solva.cli.flags import Command, Flag
from solva.cli.output.progress import show_stream
from solva.cli.references import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Import a file, a URL (the engine fetches it) or standard input."""
    source, *rest = options.args
    query = {"repo": None, "tag": None, "message": options.text("message") or None,
             "changes": tuple(options.many("change")), "platform": options.text("platform") or None}
    if rest:
        try:
            reference = parse(rest[0])
        except ValueError as error:
            raise CommandError(str(error)) from None
        query["repo"], query["tag"] = reference.repository, reference.tag or None
    if source.startswith(("http://", "https://")):
        response = session.api.request("POST", "/images/create", query={"fromSrc": source, **query})
    else:
        query["fromSrc"] = "-"
        with open_input("" if source == "-" else source) as file:
            response = session.api.request("POST", "/images/create", query=query, upload=pieces(file),
                                           headers={"Content-Type": "application/x-tar"})
    with response:
        show_stream(response.lines())
    return 0


COMMAND = Command(
    "import", "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", "Import the contents of a tarball as a filesystem image", run,
    flags=(
        Flag("change", "c", "list", "Apply a Dockerfile instruction to the image"),
        Flag("message", "m", "string", "Commit message"),
        Flag("platform", "", "string", "Platform of the image"),
    ),
    arity=(1, 2), aliases=("image import", "import"),
)
