"""HTTP/1.1 to an Engine API: a unix socket, TCP, TLS or ssh; one kept-alive connection a thread.

Small on purpose: importing an HTTP library costs more than a whole `solva ps` may (docs/design/002); so do `socket`,
`json`, `threading` and `urllib`, whose C halves are used here directly. Only what the Engine API needs: JSON in and
out, chunked and endless bodies, upload of a stream, and the hijacked connection.
"""

from __future__ import annotations

from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket
from _thread import _local

from solva import errors
from solva.client.fastjson import dumps, loads

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
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = _PLAIN | frozenset("/:@!$&()*+,;=%")


class EngineUnreachable(errors.Unavailable):
    """Nothing answers on the endpoint."""


def quote(text: str, safe: frozenset[str] = _PLAIN) -> str:
    """``text`` percent-encoded, but for the characters of ``safe``."""
    if safe.issuperset(text):
        return text
    return "".join(
        char if char in safe else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in text
    )


class Connection:
    """One socket with a read buffer; closed by whoever took it."""

    def __init__(self, sock: Socket) -> None:
        self.sock = sock
        self.buffer = b""

    def read_until(self, mark: bytes) -> bytes:
        """Everything before ``mark``, which is consumed; EOFError when the peer ends first."""
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

    def half_close(self) -> None:
        """Tell the peer that no more comes; its answers can still be read."""
        try:
            self.sock.shutdown(1)
        except OSError:
            pass

    def cut(self) -> None:
        """End it from another thread: whoever reads from it sees the end."""
        try:
            self.sock.shutdown(2)
        except OSError:
            pass

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
        self._closed = False

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back if its body was read to the end, else close it. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        keep = self._done and self.headers.get("connection", "").lower() != "close"
        if keep and (self._chunked or self._length is not None or self.status in (204, 304)):
            self._transport.give_back(self.connection)
        else:
            self.connection.close()

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece as the peer sent it."""
        try:
            yield from self._pieces()
        except (EOFError, ConnectionError) as error:
            raise EngineUnreachable(
                f"the engine at {self._transport.endpoint} closed the connection in the middle of an answer"
            ) from error

    def _pieces(self) -> Iterator[bytes]:
        conn = self.connection
        while not self._done:
            if self._chunked:
                size = int(conn.read_until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    conn.read_until(b"\r\n")
                    self._done = True
                    return
                yield from self._exactly(size)
                conn.read_until(b"\r\n")
            elif self._length is not None:
                yield from self._exactly(self._length)
                self._done = True
            else:
                data = conn.read_some(1 << 18)
                if not data:
                    self._done = True
                    self.headers["connection"] = "close"
                    return
                yield data

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            data = self.connection.read_some(size)
            if not data:
                raise EOFError
            size -= len(data)
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
                    yield loads(line)
        if rest.strip():
            yield loads(rest)


class Transport:
    """Connections to one engine. Thread-safe: every thread has a connection of its own.

    ``endpoint``: ``unix:///path``, ``tcp://host:port``, ``http://host:port``, ``https://host:port`` or
    ``ssh://user@host``. ``tls`` is an ``ssl.SSLContext`` for TCP endpoints.
    """

    def __init__(self, endpoint: str, version: str = API_VERSION, tls: Any = None) -> None:
        self.endpoint = endpoint
        self.version = version
        self._tls = tls
        self._local = _local()
        self._answered = False

    def connect(self) -> Connection:
        """A new connection; EngineUnreachable with the reason when nothing listens."""
        try:
            if self.endpoint.startswith("unix://"):
                sock = Socket(AF_UNIX, SOCK_STREAM)
                try:
                    sock.connect(self.endpoint[7:])
                except OSError:
                    sock.close()
                    raise
                return Connection(sock)
            from solva.client import remote

            return Connection(remote.dial(self.endpoint, self._tls))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EngineUnreachable(f"cannot reach the engine at {self.endpoint}: {reason}") from error

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for this thread's next request."""
        if getattr(self._local, "connection", None) is None:
            self._local.connection = connection
        else:
            connection.close()

    def hang_up(self) -> None:
        """Close this thread's kept connection: a thread that ends has no further use for it."""
        kept: Connection | None = getattr(self._local, "connection", None)
        if kept is not None:
            self._local.connection = None
            kept.close()

    def send(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None,
             headers: dict[str, Any] | None = None, upload: Iterable[bytes] | None = None,
             hijack: bool = False) -> Response:
        """Send one request, return the answer with its body unread, whatever its status.

        ``query``: None values are left out, bool become 1/0, dict and list become JSON (Docker's filters), a tuple
        repeats its key.
        ``headers``: a tuple repeats its name. ``body`` is JSON, or bytes as they are; ``upload`` is sent chunked;
        ``hijack`` asks for 101 UPGRADED.
        An older engine that refuses our API version is asked again in its own.
        """
        if upload is not None and not self._answered:
            self.negotiate()  # a stream cannot be sent twice
        response = self._send(method, path, query, body, headers, upload, hijack)
        if response.status == 400 and not self._answered and upload is None:
            data = response.read()
            response.close()
            highest = data.partition(b"Maximum supported API version is ")[2]
            if b"is too new" not in data or not highest:
                raise error_of(400, data)
            self.version = _version_in(highest)
            response = self._send(method, path, query, body, headers, upload, hijack)
        self._answered = True
        return response

    def negotiate(self) -> None:
        """Ask the engine for its highest API version and speak no newer one."""
        version, self.version = self.version, ""
        try:
            with self._send("GET", "/_ping", None, None, None, None, False) as response:
                response.read()
                highest = response.headers.get("api-version", version)
        finally:
            self.version = version
        if _numbers(highest) < _numbers(version):
            self.version = highest
        self._answered = True

    def _send(self, method: str, path: str, query: dict[str, Any] | None, body: Any,
              headers: dict[str, Any] | None, upload: Iterable[bytes] | None, hijack: bool) -> Response:
        lines = [f"{method} {self._target(path, query)} HTTP/1.1", "Host: solva", "User-Agent: solva"]
        payload = b""
        extra: dict[str, Any] = dict(headers or {})
        if upload is not None:
            extra.setdefault("Transfer-Encoding", "chunked")
        elif body is not None:
            payload = body if isinstance(body, bytes) else dumps(body).encode()
            extra.setdefault("Content-Type", "application/json")
            extra["Content-Length"] = str(len(payload))
        elif method in ("POST", "PUT"):
            extra["Content-Length"] = "0"
        if hijack:
            extra["Connection"] = "Upgrade"
            extra.setdefault("Upgrade", "tcp")
        for name, value in extra.items():
            lines += [f"{name}: {one}" for one in (value if isinstance(value, tuple) else (value,))]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        kept: Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if kept is not None and upload is None:
            try:
                return self._exchange(kept, head + payload, None, method)
            except (EOFError, ConnectionError):
                kept.close()  # the engine closed an idle connection, or was replaced: once more on a new one
            except BaseException:
                kept.close()
                raise
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
        return loads(data) if data else None

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
        target = f"/v{self.version}{quote(path, _PATH_SAFE)}" if self.version else path
        rows = []
        for key, value in (query or {}).items():
            if value is None:
                continue
            if isinstance(value, bool):
                value = int(value)
            elif isinstance(value, dict | list):
                value = dumps(value)
            for item in value if isinstance(value, tuple) else (value,):
                rows.append(f"{key}={quote(str(item))}")
        return f"{target}?{'&'.join(rows)}" if rows else target


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _version_in(text: bytes) -> str:
    """The version number that ``text`` begins with."""
    digits = ""
    for char in text.decode("latin-1"):
        if not (char.isdigit() or char == "."):
            break
        digits += char
    return digits.strip(".")


def error_of(status: int, body: bytes) -> errors.SolvaError:
    """The error class that stands for an answer, with the engine's message."""
    try:
        message = str(loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace").strip() or f"the engine answered {status}"
    return _STATUS.get(status, errors.SystemFailure)(message)
