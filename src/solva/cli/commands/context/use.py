"""``solva context use``."""

from __future__ import annotations

import os

from solva.cli import contexts
from solva.cli.configfile import write
from solva.cli.flags import Command
from solva.cli.session import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Make a context the current one."""
    name = options.args[0]
    config = dict(session.config)
    if name == "default":
        config.pop("currentContext", None)
    else:
        contexts.load(session.config_dir, name)
        config["currentContext"] = name
    write(session.config_dir, config)
    say(name)
    warn(f'Current context is now "{name}"')
    for variable in ("SOLVA_HOST", "DOCKER_HOST"):
        if os.environ.get(variable) and name != "default":
            warn(f'Warning: {variable} environment variable overrides the active context. To use "{name}", either set '
                 f"the global --context flag, or unset {variable} environment variable.")
    return 0


COMMAND = Command("context use", "CONTEXT", "Set the current context", run, arity=(1, 1))
