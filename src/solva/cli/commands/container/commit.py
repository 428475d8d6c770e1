"""``solva commit``: an image from a container."""

from __future__ import annotations

from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.references import parse
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Commit, and print the image's id."""
    container, *rest = options.args
    repository = tag = None
    if rest:
        try:
            reference = parse(rest[0])
        except ValueError as error:
            raise CommandError(str(error)) from None
        if reference.digest:
            raise CommandError("refusing to create a tag with a digest reference")
        repository, tag = reference.repository, reference.tag or "latest"
    answer = session.api.json("POST", "/commit", body={}, query={
        "container": container, "repo": repository, "tag": tag, "comment": options.text("message") or None,
        "author": options.text("author") or None, "changes": tuple(options.many("change")),
        "pause": options.on("pause")})
    say(answer["Id"])
    return 0


COMMAND = Command("commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", "Create a new image from a container's changes",
                  run, flags=(
                      Flag("author", "a", "string", "Author of the image"),
                      Flag("change", "c", "list", "Apply a Dockerfile instruction to the image"),
                      Flag("message", "m", "string", "Commit message"),
                      Flag("pause", "p", "bool", "Pause the container meanwhile", default=True),
                  ), arity=(1, 2), aliases=("container commit", "commit"))
