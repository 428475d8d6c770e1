"""``solva context create``."""

from __future__ import annotations

from solva.cli import contexts
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.session import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session

_KEYS = ("from", "host", "ca", "cert", "key", "skip-tls-verify")


def run(session: Session, options: Options) -> int:
    """Store an endpoint under a name."""
    name = options.args[0]
    contexts.check_name(name)
    endpoint: dict[str, str] = {}
    for pair in options.many("docker"):
        key, equals, value = pair.partition("=")
        if not equals or key not in _KEYS:
            raise CommandError(f"unrecognized config key: {key}")
        endpoint[key] = value
    source = endpoint.get("from") or options.text("from")
    if source:
        endpoint["host"] = session.endpoint.url if source == "default" else \
            contexts.load(session.config_dir, source).host
    if not endpoint.get("host"):
        endpoint["host"] = session.endpoint.url
    contexts.save(session.config_dir, name, options.text("description"), endpoint)
    say(name)
    warn(f'Successfully created context "{name}"')
    return 0


COMMAND = Command("context create", "[OPTIONS] CONTEXT", "Create a context", run, flags=(
    Flag("description", "", "string", "What the context is for"),
    Flag("docker", "", "strings", "The endpoint: host=.., and ca=.., cert=.., key=.., skip-tls-verify=.. or from=.."),
    Flag("from", "", "string", "Context whose endpoint is copied"),
), arity=(1, 1))
