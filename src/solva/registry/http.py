"""A small HTTP/1.1 client on asyncio streams: what a registry needs, bodies as streams.

Ours, since aiohttp or httpx would cost the idle engine 15 to 25 MB; ssl is imported at the first https request.
"""

import asyncio
import base64
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urljoin, urlsplit

from solva.registry.tls import TlsSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT = 30.0
READ_TIMEOUT = 60.0
MAX_HEAD = 1 << 18
CHUNK = 1 << 18
MAX_REDIRECTS = 10
IDLE_SECONDS = 20.0
_REDIRECTS = (301, 302, 303, 307, 308)


class HttpError(Exception):
    """The server could not be reached, or the connection broke. The text names method, URL and cause."""


class TlsMismatch(HttpError):
    """The server does not speak TLS, or its certificate is not trusted."""


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: float = 0.0
    fresh: bool = True

    def close(self) -> None:
        self.writer.close()


@dataclass(slots=True)
class Response:
    """A response whose body is still to be read. Read it, or ``close`` it."""

    status: int
    headers: dict[str, str]         # names in lower case
    url: str
    _connection: _Connection
    _client: "HttpClient"
    _left: int | None               # bytes of the body; None: chunked or up to the end of the connection
    _chunked: bool
    _done: bool = field(default=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces of up to 256 KB. HttpError when it ends early."""
        reader = self._connection.reader
        try:
            if self._chunked:
                while size := await self._chunk_size():
                    while size:
                        piece = await asyncio.wait_for(reader.read(min(size, CHUNK)), READ_TIMEOUT)
                        if not piece:
                            raise HttpError(f"{self.url}: unexpected EOF")
                        size -= len(piece)
                        yield piece
                    await reader.readexactly(2)
                while (await reader.readline()).strip():
                    pass
            else:
                while self._left is None or self._left > 0:
                    count = CHUNK if self._left is None else min(self._left, CHUNK)
                    piece = await asyncio.wait_for(reader.read(count), READ_TIMEOUT)
                    if not piece:
                        if self._left is None:
                            break
                        raise HttpError(f"{self.url}: unexpected EOF")
                    if self._left is not None:
                        self._left -= len(piece)
                    yield piece
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise HttpError(f"{self.url}: {_reason(error)}") from error
        except TimeoutError as error:
            self.close()
            raise HttpError(f"{self.url}: no data for {READ_TIMEOUT:.0f} seconds") from error
        except BaseException:
            self.close()
            raise
        self._finish()

    async def _chunk_size(self) -> int:
        line = await asyncio.wait_for(self._connection.reader.readline(), READ_TIMEOUT)
        try:
            return int(line.partition(b";")[0], 16)
        except ValueError:
            raise HttpError(f"{self.url}: malformed chunked encoding") from None

    async def read(self, limit: int) -> bytes:
        """The whole body; HttpError when it is longer than ``limit``."""
        pieces: list[bytes] = []
        total = 0
        if self._left is not None and self._left > limit:
            self.close()
            raise HttpError(f"{self.url}: response is larger than {limit} bytes")
        async for piece in self.chunks():
            total += len(piece)
            if total > limit:
                self.close()
                raise HttpError(f"{self.url}: response is larger than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        ended = self._left is None and not self._chunked
        if ended or self.headers.get("connection", "").lower() == "close":
            self._connection.close()
        else:
            self._client._give_back(self.url, self._connection)

    def close(self) -> None:
        """Give the rest of the body up."""
        if not self._done:
            self._done = True
            self._connection.close()


class HttpClient:
    """Connections are kept and used again; ``close`` at the end. ``tls`` says what to trust for which host."""

    def __init__(self, tls: TlsSettings | None = None, user_agent: str = "solva") -> None:
        self._tls = tls or TlsSettings()
        self._user_agent = user_agent
        self._idle: dict[str, list[_Connection]] = {}
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *,
        body: bytes | AsyncIterator[bytes] | None = None, length: int | None = None,
        redirects: bool = True, verify: bool = True,
    ) -> Response:
        """Send and read the response's head. A redirect to another host loses ``Authorization``. HttpError."""
        sent = dict(headers or {})
        for _ in range(MAX_REDIRECTS):
            try:
                response = await self._once(method, url, sent, body, length, verify)
            except ValueError as error:      # no URL, or a host name that cannot be one (UnicodeError)
                raise HttpError(f'{method} "{url}": {error}') from error
            if not redirects or response.status not in _REDIRECTS or "location" not in response.headers:
                return response
            target = urljoin(url, response.headers["location"])
            await _discard(response)
            if _origin(target) != _origin(url):
                sent = {key: value for key, value in sent.items() if key.lower() != "authorization"}
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http" and verify:
                raise HttpError(f'{method} "{url}": refusing to follow a redirect from https to {target}')
            url = target
        raise HttpError(f'{method} "{url}": stopped after {MAX_REDIRECTS} redirects')

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | AsyncIterator[bytes] | None,
        length: int | None, verify: bool,
    ) -> Response:
        while True:
            connection = await self._connect(method, url, verify)
            try:
                return await self._exchange(connection, method, url, headers, body, length)
            except (OSError, asyncio.IncompleteReadError, HttpError, TimeoutError, ValueError) as error:
                connection.close()
                if not connection.fresh and not isinstance(body, AsyncIterator):
                    continue      # the server had closed the kept connection: once more on a new one
                if isinstance(error, HttpError):
                    raise
                reason = "no answer" if isinstance(error, TimeoutError) else _reason(error)
                raise HttpError(f'{method.capitalize()} "{url}": {reason}') from error
            except BaseException:
                connection.close()
                raise

    async def _exchange(
        self, connection: _Connection, method: str, url: str, headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None, length: int | None,
    ) -> Response:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if parts.scheme == "http" and self._proxy(parts.scheme, parts.hostname or ""):
            target = url
        target = quote(target, safe="/:?&=%@,+;~!$*()[]#")
        host = parts.netloc.rpartition("@")[2]
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"User-Agent: {self._user_agent}",
                 "Accept-Encoding: identity"]
        lines += [f"{key}: {value}" for key, value in headers.items()]
        if isinstance(body, bytes):
            length = len(body)
        if length is not None or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {length or 0}")
        connection.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))
        if isinstance(body, bytes):
            connection.writer.write(body)
        elif body is not None:
            async for piece in body:
                connection.writer.write(piece)
                await connection.writer.drain()
        await connection.writer.drain()
        status, answer = await self._head(connection)
        empty = method == "HEAD" or status in (204, 304)
        chunked = not empty and "chunked" in answer.get("transfer-encoding", "").lower()
        left = 0 if empty else None if chunked or "content-length" not in answer else int(answer["content-length"])
        response = Response(status, answer, url, connection, self, left, chunked)
        if left == 0:
            response._finish()
        return response

    async def _head(self, connection: _Connection) -> tuple[int, dict[str, str]]:
        while True:
            head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), READ_TIMEOUT)
            lines = head.decode("latin-1").split("\r\n")
            version, _, rest = lines[0].partition(" ")
            if not version.startswith("HTTP/1."):
                raise HttpError("malformed HTTP response")
            status = int(rest[:3])
            if status >= 200:
                break
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                key = name.strip().lower()
                headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        if version == "HTTP/1.0":
            headers.setdefault("connection", "close")
        return status, headers

    # -- connections

    def _give_back(self, url: str, connection: _Connection) -> None:
        connection.used = time.monotonic()
        connection.fresh = False
        self._idle.setdefault(_origin(url), []).append(connection)

    async def _connect(self, method: str, url: str, verify: bool) -> _Connection:
        kept = self._idle.get(_origin(url), [])
        while kept:
            connection = kept.pop()
            if time.monotonic() - connection.used < IDLE_SECONDS and not connection.reader.at_eof():
                return connection
            connection.close()
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        secure = await self._context(host if parts.port is None else f"{host}:{port}", verify) \
            if parts.scheme == "https" else None
        try:
            return await asyncio.wait_for(self._open(parts.scheme, host, port, secure), CONNECT_TIMEOUT)
        except TimeoutError as error:
            raise HttpError(f'{method.capitalize()} "{url}": dial tcp {host}:{port}: i/o timeout') from error
        except socket.gaierror as error:
            raise HttpError(f'{method.capitalize()} "{url}": dial tcp: lookup {host}: no such host') from error
        except OSError as error:
            if secure is not None and _is_tls(error):
                raise TlsMismatch(f'{method.capitalize()} "{url}": tls: {_reason(error)}') from error
            raise HttpError(f'{method.capitalize()} "{url}": dial tcp {host}:{port}: {_reason(error)}') from error

    async def _open(self, scheme: str, host: str, port: int, secure: "ssl.SSLContext | None") -> _Connection:
        proxy = self._proxy(scheme, host)
        if not proxy:
            reader, writer = await asyncio.open_connection(
                host, port, ssl=secure, server_hostname=host if secure else None, limit=MAX_HEAD)
            return _Connection(reader, writer)
        parts = urlsplit(proxy)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=MAX_HEAD)
        if secure is not None:
            permission = ""
            if parts.username:
                pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                permission = f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
            writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{permission}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200" not in head.partition(b"\r\n")[0]:
                writer.close()
                raise OSError(f"proxy {parts.hostname}: {head.partition(bytes([13]))[0].decode('latin-1')}")
            await writer.start_tls(secure, server_hostname=host)
        return _Connection(reader, writer)

    async def _context(self, host: str, verify: bool) -> "ssl.SSLContext":
        key = (host, verify)
        if key not in self._contexts:
            self._contexts[key] = await asyncio.to_thread(self._tls.context, host, verify)
        return self._contexts[key]

    @staticmethod
    def _proxy(scheme: str, host: str) -> str:
        """The proxy that the environment names for this host, or ``""``."""
        names = (f"{scheme.upper()}_PROXY", f"{scheme}_proxy")
        proxy = next((os.environ[name] for name in names if os.environ.get(name)), "")
        if not proxy or host == "localhost" or host.startswith("127.") or host == "::1":
            return ""
        exempt = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        for item in exempt.replace(" ", "").split(","):
            if item == "*" or (item and (host == item.lstrip(".") or host.endswith("." + item.lstrip("*.")))):
                return ""
        return proxy if "://" in proxy else f"http://{proxy}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _discard(response: Response) -> None:
    """Read a small body so that the connection can be used again."""
    try:
        await response.read(1 << 16)
    except HttpError:
        response.close()


def _is_tls(error: OSError) -> bool:
    import ssl

    return isinstance(error, ssl.SSLError | ConnectionResetError)


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    if isinstance(error, asyncio.IncompleteReadError):
        return "EOF"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower() if not error.strerror.startswith("[") else error.strerror
    return str(error) or type(error).__name__
