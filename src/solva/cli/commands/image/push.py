"""``solva push``: upload an image."""

from __future__ import annotations

import sys

from solva.cli.credentials import header, lookup
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.output.progress import show_stream
from solva.cli.references import parse
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Push a tag, or all tags of a repository."""
    try:
        reference = parse(options.args[0])
    except ValueError as error:
        raise CommandError(str(error)) from None
    every, quiet = options.on("all-tags"), options.on("quiet")
    if every and (reference.tag or reference.digest):
        raise CommandError("tag can't be used with --all-tags/-a")
    if not every and not reference.tag:
        reference.tag = "latest"
        if not quiet:
            say("Using default tag: latest")
    platform = options.text("platform")
    response = session.api.request("POST", f"/images/{reference.repository}/push", query={
        "tag": reference.tag or None, "platform": _platform(platform) if platform else None,
    }, headers={"X-Registry-Auth": header(lookup(session, reference.auth_key))})
    with response:
        if quiet:
            for message in response.lines():
                if "error" in message:
                    raise CommandError(str((message.get("errorDetail") or {}).get("message") or message["error"]))
            say(reference.canonical())
        else:
            sys.stdout.flush()
            show_stream(response.lines())
    return 0


def _platform(text: str) -> dict[str, str]:
    names = ("os", "architecture", "variant")
    return dict(zip(names, text.split("/"), strict=False))


COMMAND = Command(
    "push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry", run,
    flags=(
        Flag("all-tags", "a", "bool", "Push all tags of the repository"),
        Flag("disable-content-trust", "", "bool", "Skip image signing", default=True),
        Flag("platform", "", "string", "Push one platform's manifest alone: 'os[/arch[/variant]]'"),
        Flag("quiet", "q", "bool", "Print the image's name only"),
    ),
    arity=(1, 1), aliases=("image push", "push"),
)
