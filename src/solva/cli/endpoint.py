"""Which engine a command talks to: flags, environment, contexts, our own socket."""

from __future__ import annotations

import os

from solva.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Endpoint:
    """Where the engine is. ``own``: it is our own engine's socket, so it may be started."""

    __slots__ = ("context", "own", "tls", "url")

    def __init__(self, url: str, *, own: bool = False, context: str = "default", tls: Any = None) -> None:
        self.url = url
        self.own = own
        self.context = context
        self.tls = tls


class TlsFlags:
    """``--tls``, ``--tlsverify``, ``--tlscacert``, ``--tlscert``, ``--tlskey`` as given; None where they were not."""

    __slots__ = ("ca", "cert", "key", "use", "verify")

    def __init__(self) -> None:
        self.use: bool = False
        self.verify: bool | None = None
        self.ca = self.cert = self.key = ""


def run_root() -> str:
    """The run-time directory of our engine: /run/solva for root (and whoever may use root's engine)."""
    if os.geteuid() == 0 or os.access("/run/solva/solva.sock", os.W_OK):
        return "/run/solva"
    return os.path.join(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}", "solva")


def own_socket() -> str:
    """The endpoint of our own engine."""
    return f"unix://{run_root()}/solva.sock"


def resolve(host: str, context: str, tls: TlsFlags, config_dir: str, config: dict[str, Any]) -> Endpoint:
    """-H, then -c, SOLVA_HOST, DOCKER_HOST, DOCKER_CONTEXT, the current context, and our own engine at last."""
    if host and context:
        raise CommandError("conflicting options: cannot specify both --host and --context", 1)
    env = os.environ
    if not host and not context:
        host = env.get("SOLVA_HOST", "") or env.get("DOCKER_HOST", "")
    if host:
        url = check_host(host)
        return Endpoint(url, own=url == own_socket(), tls=_tls(url, tls, config_dir))
    name = context or env.get("DOCKER_CONTEXT", "") or str(config.get("currentContext") or "")
    if name in ("", "default"):
        return Endpoint(own_socket(), own=True)
    from solva.cli.contexts import load

    found = load(config_dir, name)
    url = check_host(found.host)
    return Endpoint(url, own=url == own_socket(), context=name, tls=found.tls_context(url))


def check_host(host: str) -> str:
    """``host`` as a URL of a scheme that can be dialled."""
    host = host.strip()
    if "://" not in host:
        host = f"unix://{host}" if host.startswith("/") else f"tcp://{host}"
    if host.partition("://")[0] not in ("unix", "tcp", "http", "https", "ssh"):
        raise CommandError(f"unable to parse docker host `{host}`", 1)
    return host


def _tls(url: str, flags: TlsFlags, config_dir: str) -> Any:
    verify = flags.verify if flags.verify is not None else bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not (verify or flags.use) or not url.startswith(("tcp://", "https://")):
        return None
    from solva.client.remote import tls_context

    folder = os.environ.get("DOCKER_CERT_PATH") or config_dir
    return tls_context(flags.ca or f"{folder}/ca.pem", flags.cert or f"{folder}/cert.pem",
                       flags.key or f"{folder}/key.pem", verify=verify)
