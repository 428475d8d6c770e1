"""``solva pull``: download an image."""

from __future__ import annotations

import sys

from solva.cli.credentials import auth_headers
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.output.progress import show_stream
from solva.cli.references import parse
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.references import Reference
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Pull one image, or all tags of a repository."""
    reference = _parsed(options.args[0])
    every = options.on("all-tags")
    if every and (reference.tag or reference.digest):
        raise CommandError("tag can't be used with --all-tags/-a")
    if not options.on("disable-content-trust"):
        raise CommandError("content trust is not supported")
    quiet = options.on("quiet")
    if not every and not reference.tag and not reference.digest:
        reference.tag = "latest"
        if not quiet:
            say("Using default tag: latest")
    pull(session, options.args[0], platform=options.text("platform"), quiet=quiet, every=every)
    say(reference.canonical())
    return 0


def pull(session: Session, image: str, *, platform: str = "", quiet: bool = False, every: bool = False,
         to_stderr: bool = False) -> None:
    """Pull ``image`` and show how it goes; CommandError or a SolvaError when it does not."""
    reference = _parsed(image)
    tag = reference.digest or reference.tag or ("" if every else "latest")
    response = session.api.request("POST", "/images/create", query={
        "fromImage": reference.repository, "tag": tag or None, "platform": platform or None,
    }, headers=auth_headers(session, reference.auth_key))
    sys.stdout.flush()
    with response:
        if quiet:
            for message in response.lines():
                if "error" in message:
                    raise CommandError(str((message.get("errorDetail") or {}).get("message") or message["error"]))
        else:
            show_stream(response.lines(), sys.stderr if to_stderr else sys.stdout)


def _parsed(image: str) -> Reference:
    try:
        return parse(image)
    except ValueError as error:
        raise CommandError(str(error)) from None


COMMAND = Command(
    "pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry", run,
    flags=(
        Flag("all-tags", "a", "bool", "Download all tagged images of the repository"),
        Flag("disable-content-trust", "", "bool", "Skip image verification", default=True),
        Flag("platform", "", "string", "Platform of the image, where several can be had"),
        Flag("quiet", "q", "bool", "Print the image's name only"),
    ),
    arity=(1, 1), aliases=("image pull", "pull"),
)
