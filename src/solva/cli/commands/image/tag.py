"""``solva tag``: give an image another name."""

from __future__ import annotations

from solva.cli.errors import CommandError
from solva.cli.flags import Command
from solva.cli.references import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Tag an image."""
    source, target = options.args
    try:
        reference = parse(target)
    except ValueError as error:
        raise CommandError(f'Error parsing reference: "{target}" is not a valid repository/tag: {error}') from None
    if reference.digest:
        raise CommandError("refusing to create a tag with a digest reference")
    session.api.request("POST", f"/images/{source}/tag", query={
        "repo": reference.repository, "tag": reference.tag or "latest"}).close()
    return 0


COMMAND = Command("tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
                  "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", run,
                  arity=(2, 2), aliases=("image tag", "tag"))
