"""HTTP/1.1 to an Engine API: a unix socket or TCP, one kept-alive connection a thread.

Small on purpose: importing an HTTP library costs more than a whole `solva ps` may (docs/design/002). Only what the
Engine API needs: JSON in and out, chunked and endless bodies, upload of a stream, and the hijacked connection.
"""

from __future__ import annotations

import json
import socket
import threading
from urllib.parse import quote, urlencode

from solva import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

API_VERSION = "1.51"
_STATUS: dict[int, type[errors.SolvaError]] = {
    304: errors.NotModified,
    400: errors.InvalidParameter,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    501: errors.NotImplementedHere,
    503: errors.Unavailable,
}


class EngineUnreachable(errors.Unavailable):
    """Nothing answers on the endpoint."""


class Connection:
    """One socket with a read buffer; closed by whoever took it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def read_some(self, limit: int) -> bytes:
        """Between 1 and ``limit`` bytes; ``b""`` at the end."""
        if not self.buffer:
            return self.sock.recv(min(limit, 1 << 18))
        data, self.buffer = self.buffer[:limit], self.buffer[limit:]
        return data

    def close(self) -> None:
        self.sock.close()


class Response:
    """Status, headers (lower-case names) and a body that is read as it comes. Use as a context manager."""

    def __init__(self, transport: Transport, connection: Connection, status: int, headers: dict[str, str],
                 *, no_body: bool) -> None:
        self._transport = transport
        self.connection = connection
        self.status = status
        self.headers = headers
        self._done = no_body or status in (204, 304) or headers.get("content-length") == "0"
        self._length = int(headers["content-length"]) if "content-length" in headers else None
        self._chunked = "chunked" in headers.get("transfer-encoding", "")

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back if its body was read to the end, else close it."""
        keep = self._done and self.headers.get("connection", "").lower() != "close"
        if keep and (self._chunked or self._length is not None or self.status in (204, 304)):
            self._transport.give_back(self.connection)
        else:
            self.connection.close()

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece as the peer sent it."""
        conn = self.connection
        while not self._done:
            if self._chunked:
                size = int(conn.read_until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    conn.read_until(b"\r\n")
                    self._done = True
                    return
                while size:
                    data = conn.read_some(size)
                    if not data:
                        raise EngineUnreachable("the engine closed the connection in the middle of an answer")
                    size -= len(data)
                    yield data
                conn.read_until(b"\r\n")
            elif self._length is not None:
                left = self._length
                while left:
                    data = conn.read_some(left)
                    if not data:
                        raise EngineUnreachable("the engine closed the connection in the middle of an answer")
                    left -= len(data)
                    yield data
                self._done = True
            else:
                data = conn.read_some(1 << 18)
                if not data:
                    self._done = True
                    self.headers["connection"] = "close"
                    return
                yield data

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks())

    def lines(self) -> Iterator[Any]:
        """The body as a stream of JSON values, one a line."""
        rest = b""
        for data in self.chunks():
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                if line.strip():
                    yield json.loads(line)
        if rest.strip():
            yield json.loads(rest)


class Transport:
    """Connections to one engine. Thread-safe: every thread has a connection of its own.

    ``endpoint``: ``unix:///path``, ``tcp://host:port`` or ``http://host:port``.
    """

    def __init__(self, endpoint: str, version: str = API_VERSION) -> None:
        self.endpoint = endpoint
        self.version = version
        self._local = threading.local()

    def connect(self) -> Connection:
        """A new connection; EngineUnreachable with the reason when nothing listens."""
        try:
            if self.endpoint.startswith("unix://"):
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.connect(self.endpoint[7:])
            else:
                host, _, port = self.endpoint.split("://", 1)[-1].rstrip("/").rpartition(":")
                sock = socket.create_connection((host, int(port)))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ValueError) as error:
            raise EngineUnreachable(f"cannot reach the engine at {self.endpoint}: {error}") from error
        return Connection(sock)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for this thread's next request."""
        if getattr(self._local, "connection", None) is None:
            self._local.connection = connection
        else:
            connection.close()

    def send(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None,
             headers: dict[str, str] | None = None, upload: Iterable[bytes] | None = None,
             hijack: bool = False) -> Response:
        """Send one request, return the answer with its body unread, whatever its status.

        ``query``: None values are left out, bool become 1/0, dict and list become JSON (Docker's filters).
        ``body`` is JSON, or bytes as they are; ``upload`` is sent chunked; ``hijack`` asks for 101 UPGRADED.
        """
        lines = [f"{method} {self._target(path, query)} HTTP/1.1", "Host: solva"]
        payload = b""
        extra = dict(headers or {})
        if upload is not None:
            extra.setdefault("Transfer-Encoding", "chunked")
        elif body is not None:
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            extra.setdefault("Content-Type", "application/json")
            extra["Content-Length"] = str(len(payload))
        elif method in ("POST", "PUT"):
            extra["Content-Length"] = "0"
        if hijack:
            extra["Connection"], extra["Upgrade"] = "Upgrade", "tcp"
        lines += [f"{name}: {value}" for name, value in extra.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        kept: Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if kept is not None and upload is None:
            try:
                return self._exchange(kept, head + payload, None, method)
            except (EOFError, ConnectionError):
                kept.close()  # the engine closed an idle connection, or was replaced: once more on a new one
        elif kept is not None:
            kept.close()
        connection = self.connect()
        try:
            return self._exchange(connection, head + payload, upload, method)
        except (EOFError, ConnectionError) as error:
            connection.close()
            raise EngineUnreachable(f"the engine at {self.endpoint} closed the connection") from error
        except BaseException:
            connection.close()
            raise

    def request(self, method: str, path: str, **options: Any) -> Response:
        """``send``, but a status of 400 and above (and 304) is raised as the error class the engine had."""
        response = self.send(method, path, **options)
        if response.status >= 400 or response.status == 304:
            with response:
                raise error_of(response.status, response.read())
        return response

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The decoded JSON answer; None where there is no body."""
        with self.request(method, path, **options) as response:
            data = response.read()
        return json.loads(data) if data else None

    def hijack(self, method: str, path: str, **options: Any) -> Connection:
        """The raw two-way connection of attach and exec. The caller closes it; its ``buffer`` may hold data."""
        response = self.request(method, path, hijack=True, **options)
        return response.connection

    def _exchange(self, connection: Connection, head: bytes, upload: Iterable[bytes] | None,
                  method: str) -> Response:
        sock = connection.sock
        try:
            sock.sendall(head)
            if upload is not None:
                for data in upload:
                    if data:
                        sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))
                sock.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused early: its answer is already there to be read
        while True:
            status_line, *rows = connection.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(status_line.split(" ", 2)[1])
            if status != 100:
                break
        headers = {}
        for row in rows:
            name, _, value = row.partition(":")
            headers[name.lower()] = value.strip()
        return Response(self, connection, status, headers, no_body=method == "HEAD" or status == 101)

    def _target(self, path: str, query: dict[str, Any] | None) -> str:
        target = f"/v{self.version}{quote(path, safe='/:@-._~!$&()*+,;=%')}" if self.version else path
        if query:
            rows = []
            for key, value in query.items():
                if value is None:
                    continue
                if isinstance(value, bool):
                    value = int(value)
                elif isinstance(value, dict | list):
                    value = json.dumps(value)
                rows.append((key, str(value)))
            if rows:
                target += "?" + urlencode(rows)
        return target


def error_of(status: int, body: bytes) -> errors.SolvaError:
    """The error class that stands for an answer, with the engine's message."""
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace").strip() or f"the engine answered {status}"
    return _STATUS.get(status, errors.SystemFailure)(message)
