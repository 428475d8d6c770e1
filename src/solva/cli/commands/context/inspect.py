"""``solva context inspect``."""

from __future__ import annotations

from solva.cli import contexts
from solva.cli.commands.common import INSPECT
from solva.cli.flags import Command
from solva.cli.inspection import show_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print contexts, the current one by default."""
    def fetch(name: str) -> dict[str, Any]:
        if name == "default":
            return {"Name": name, "Metadata": {}, "TLSMaterial": {}, "Endpoints": {
                "docker": {"Host": session.endpoint.url, "SkipTLSVerify": False}},
                "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"}}
        context = contexts.load(session.config_dir, name)
        return {**context.metadata, "TLSMaterial": {}, "Storage": {"MetadataPath": context.folder,
                                                                   "TLSPath": context.tls_folder}}

    return show_objects(options.args or [session.endpoint.context], fetch, options.text("format"))


COMMAND = Command("context inspect", "[OPTIONS] [CONTEXT] [CONTEXT...]", "Display detailed information on contexts",
                  run, flags=(INSPECT,))
