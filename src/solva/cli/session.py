"""One invocation of the command: its endpoint, its configuration file, its output."""

from __future__ import annotations

import os
import sys

from solva.cli.endpoint import TlsFlags, resolve
from solva.client.transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.endpoint import Endpoint


class Session:
    """What a verb works with. Everything is found out when first asked for."""

    def __init__(self) -> None:
        self.host = ""
        self.context = ""
        self.debug = False
        self.tls = TlsFlags()
        self.config_dir = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
        self._config: dict[str, Any] | None = None
        self._endpoint: Endpoint | None = None
        self._api: Transport | None = None

    @property
    def config(self) -> dict[str, Any]:
        """``config.json`` of the user; empty where there is none."""
        if self._config is None:
            from solva.cli.configfile import read

            self._config = read(self.config_dir)
        return self._config

    @property
    def endpoint(self) -> Endpoint:
        """Where the engine is."""
        if self._endpoint is None:
            self._endpoint = resolve(self.host, self.context, self.tls, self.config_dir, self.config)
        return self._endpoint

    @property
    def api(self) -> Transport:
        """The client of the engine; our own is started when nothing answers."""
        if self._api is None:
            self._api = self.connect()
        return self._api

    def connect(self) -> Transport:
        """A transport to the engine, which is started if it is ours and does not run."""
        endpoint = self.endpoint
        version = os.environ.get("DOCKER_API_VERSION", "")
        transport = Transport(endpoint.url, tls=endpoint.tls)
        if version:
            transport.version = version
        if endpoint.own:
            from solva.client.transport import EngineUnreachable

            try:
                transport.give_back(transport.connect())
            except EngineUnreachable:
                from solva.cli.engine_start import ensure_running

                ensure_running(endpoint.url)
        return transport


def extension(session: Session, method: str, path: str, **options: Any) -> Any:
    """What an endpoint under ``/solva`` answers; CommandError where the engine is not Solva's and has none."""
    from solva.errors import NotFound

    try:
        return session.api.json(method, path, **options)
    except NotFound as error:
        if "page not found" not in str(error):
            raise
        from solva.cli.errors import CommandError

        raise CommandError(f"what answers at {session.endpoint.url} is not Solva's engine (or an older one): it has no "
                           f"{path}") from None


def say(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """One line on standard error."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def response_error(error: Exception) -> str:
    """An error as Docker's users read it: what the engine answered is marked as the engine's."""
    from solva.client.transport import EngineUnreachable

    if isinstance(error, EngineUnreachable):
        return str(error)
    return f"Error response from daemon: {error}"
