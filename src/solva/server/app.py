"""HTTP in: version negotiation, routing, errors, the listening sockets. Knows the API, not the engine."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from solva.errors import InvalidParameter, SolvaError, SystemFailure
from solva.server import http
from solva.server.http import Connection, Disconnected, Request
from solva.server.routing import Route, Router
from solva.server.status import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

API_VERSION = "1.51"
MIN_API_VERSION = "1.24"
log = logging.getLogger("solva.server")
_VERSION = re.compile(r"/v(\d+)\.(\d+)(/.*)\Z")


class App:
    """The API on any number of sockets."""

    def __init__(self, routes: Sequence[Route], version: str) -> None:
        self._router = Router(list(routes))
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._kept: set[asyncio.Task[None]] = set()
        http.COMMON_HEADERS = (f"Api-Version: {API_VERSION}\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
                               f"Server: Solva/{version} (linux)\r\n")

    async def listen_unix(self, path: Path, group: int | None) -> None:
        """Listen on a unix socket: mode 0600, or 0660 and ``group`` (a gid) where one is given.

        A socket file that nobody answers on is replaced; one that answers is another engine: SystemFailure.
        """
        if path.exists():
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise SystemFailure(f"{path} exists and is not a socket")
            probe = socket.socket(socket.AF_UNIX)
            try:
                probe.connect(str(path))
            except OSError:
                path.unlink()
            else:
                raise SystemFailure(f"another engine listens on {path}")
            finally:
                probe.close()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        mask = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(mask)
        if group is not None:
            os.chown(path, 0, group)
            path.chmod(0o660)
        await self.listen(sock)

    async def listen(self, sock: socket.socket) -> None:
        """Serve on a bound socket (also one passed by systemd)."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        factory = self._connection
        if sock.family == socket.AF_UNIX:
            self._servers.append(await loop.create_unix_server(factory, sock=sock, backlog=512))
        else:
            self._servers.append(await loop.create_server(factory, sock=sock, backlog=512))

    async def close(self) -> None:
        """Stop listening, drop the clients, let what must not be cut in the middle end."""
        for server in self._servers:
            server.close()
        if self._kept:
            await asyncio.wait(self._kept, timeout=10)
        for connection in list(self._connections):
            connection.close()

    def _connection(self) -> Connection:
        return Connection(self.handle, self._connections)

    async def handle(self, request: Request) -> None:
        """One request to its answer."""
        try:
            self._negotiate(request)
            route, params = self._router.find(request.method, request.path)
            if route is None:
                request.respond(404, b'{"message":"page not found"}\n')
                return
            request.params, request.abandons = params, route.abandons
            if route.abandons:
                await route.handler(request)
            else:
                await self._to_the_end(route, request)
        except (Disconnected, asyncio.CancelledError):
            raise
        except Exception as error:
            self._fail(request, error)

    async def _to_the_end(self, route: Route, request: Request) -> None:
        """A change of state is not cut in two because its client left."""
        task = asyncio.ensure_future(route.handler(request))
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_note_failure)
            raise

    def _negotiate(self, request: Request) -> None:
        found = _VERSION.match(request.path)
        if found is None:
            request.version = API_VERSION
            return
        major, minor, request.path = int(found[1]), int(found[2]), found[3]
        request.version = f"{major}.{minor}"
        if (major, minor) > (1, 51):
            raise InvalidParameter(f"client version {request.version} is too new. "
                                   f"Maximum supported API version is {API_VERSION}")
        if (major, minor) < (1, 24):
            raise InvalidParameter(f"client version {request.version} is too old. Minimum supported API version is "
                                   f"{MIN_API_VERSION}, please upgrade your client to a newer version")

    def _fail(self, request: Request, error: Exception) -> None:
        if isinstance(error, msgspec.ValidationError | msgspec.DecodeError):
            error = InvalidParameter(f"invalid JSON: {error}")
        if not isinstance(error, SolvaError):
            log.error("%s %s failed", request.method, request.path, exc_info=error)
        if request.responded:
            request.connection.close()
            return
        status = status_of(error)
        if status == 304:
            request.respond(304)
            return
        text = error.message if isinstance(error, SolvaError) else f"{type(error).__name__}: {error}"
        request.respond(status, msgspec.json.encode({"message": text}))


def _note_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Disconnected):
        log.warning("an operation failed after its client had left: %s", error)
