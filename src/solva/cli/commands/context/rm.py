"""``solva context rm``."""

from __future__ import annotations

from solva.cli import contexts
from solva.cli.configfile import write
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.session import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Remove contexts; the current one only with --force."""
    status = 0
    current = str(session.config.get("currentContext") or "")
    for name in options.args:
        try:
            if name == "default":
                raise CommandError('context "default" cannot be removed')
            if name == current and not options.on("force"):
                raise CommandError(f'context "{name}" is in use, set -f flag to force remove')
            contexts.remove(session.config_dir, name)
        except CommandError as error:
            warn(str(error))
            status = 1
            continue
        if name == current:
            write(session.config_dir, {key: value for key, value in session.config.items() if key != "currentContext"})
        say(name)
    return status


COMMAND = Command("context rm", "CONTEXT [CONTEXT...]", "Remove one or more contexts", run,
                  flags=(Flag("force", "f", "bool", "Remove the context even if it is in use"),),
                  arity=(1, None), aliases=("context rm", "context remove"))
