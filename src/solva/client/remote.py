"""Endpoints that are not a unix socket: TCP, TLS, and ssh (``docker system dial-stdio`` on the other side).

Imported only when such an endpoint is dialled, since `socket` and `ssl` cost more than a whole local command.
"""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any


def dial(endpoint: str, tls: Any = None) -> Socket:
    """A connected socket; OSError or ValueError says why not."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ssh":
        return _dial_ssh(rest.rstrip("/"))
    if scheme not in ("tcp", "http", "https"):
        raise ValueError(f"unable to parse docker host `{endpoint}`")
    address = rest.split("/", 1)[0]
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        host, port = address, "2376" if tls is not None or scheme == "https" else "2375"
    host = host.strip("[]")
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "https" and tls is None:
        import ssl

        tls = ssl.create_default_context()
    if tls is not None:
        wrapped: socket.socket = tls.wrap_socket(sock, server_hostname=host)
        return wrapped
    return sock


def _dial_ssh(target: str) -> Socket:
    """A socket whose other end is ``ssh TARGET docker system dial-stdio``."""
    user_host, _, port = target.partition(":")
    command = ["ssh", "-T", "-o", "ConnectTimeout=30"]
    if port:
        command += ["-p", port]
    command += ["--", user_host, "docker", "system", "dial-stdio"]
    ours, theirs = socket.socketpair()
    number = theirs.fileno()
    os.posix_spawnp("ssh", command, os.environ, file_actions=[
        (os.POSIX_SPAWN_DUP2, number, 0),
        (os.POSIX_SPAWN_DUP2, number, 1),
    ])
    theirs.close()
    return ours


def tls_context(ca: str, cert: str, key: str, *, verify: bool) -> Any:
    """The TLS context of ``--tls*`` and ``DOCKER_TLS_VERIFY``; files that do not exist are left out."""
    import ssl

    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif os.path.exists(ca):
        context.load_verify_locations(ca)
    if os.path.exists(cert) and os.path.exists(key):
        context.load_cert_chain(cert, key)
    return context
