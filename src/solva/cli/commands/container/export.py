"""``solva export``: a container's filesystem as a tar archive."""

from __future__ import annotations

from solva.cli.files import to_file_or_stdout
from solva.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Write the archive to a file or standard output."""
    refusal = "cowardly refusing to save to a terminal. Use the -o flag or redirect"
    with to_file_or_stdout(options.text("output"), refusal) as sink, \
            session.api.request("GET", f"/containers/{options.args[0]}/export") as response:
        for data in response.chunks():
            sink.write(data)
    return 0


COMMAND = Command("export", "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive", run,
                  flags=(Flag("output", "o", "string", "Write to a file, instead of standard output"),),
                  arity=(1, 1), aliases=("container export", "export"))
