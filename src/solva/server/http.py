"""HTTP/1.1 under asyncio: one protocol object a connection, httptools as the parser (docs/design/001).

What the Engine API needs beyond the ordinary: bodies of any length both ways with back-pressure, answers that end
with the client's patience, and the hijacked connection of attach and exec with half-close.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import httptools

from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HIGH_WATER = 1 << 20
MAX_HEAD = 1 << 20
REST = 256 << 10          # of a body that the answer did not wait for; then the connection is closed
REST_PATIENCE = 5.0
REASONS = {
    101: "UPGRADED", 200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}
COMMON_HEADERS = ""  # set by server/app.py: the headers that stand on every answer


class Disconnected(ConnectionError):
    """The client is gone."""


class Request:
    """One request: method, path (decoded, without version), query, headers and a body read as it comes."""

    __slots__ = (
        "_buffered",
        "_chunks",
        "_complete",
        "_query",
        "_raw_query",
        "_ready",
        "_version",
        "abandons",
        "connection",
        "headers",
        "keep_alive",
        "method",
        "params",
        "path",
        "raw_path",
        "responded",
        "version",
        "wants_upgrade",
    )

    def __init__(self, connection: Connection, method: str, target: bytes, headers: dict[str, str]) -> None:
        self.connection = connection
        self.method = method
        raw, _, query = target.decode("latin-1").partition("?")
        self.raw_path = raw
        self.path = unquote(raw) if "%" in raw else raw
        self.version = ""
        self.params: dict[str, str] = {}
        self.headers = headers
        self.wants_upgrade = "upgrade" in headers
        self.keep_alive = True
        self.responded = False
        self.abandons = False       # its route gives up when the client has sent its last
        self._raw_query = query
        self._version: tuple[int, int] | None = None
        self._query: dict[str, str] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._ready: asyncio.Event = asyncio.Event()
        self._complete = False

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the first, as Go's ``r.FormValue`` has it."""
        if self._query is None:
            self._query = {}
            for key, value in parse_qsl(self._raw_query, keep_blank_values=True):
                self._query.setdefault(key, value)
        return self._query

    def query_all(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return [value for key, value in parse_qsl(self._raw_query, keep_blank_values=True) if key == name]

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean parameter by Docker's rule: absent, empty, 0, no, false and none are false."""
        if name not in self.query:
            return default
        return self.query[name].strip().lower() not in ("", "0", "no", "false", "none")

    def integer(self, name: str, default: int) -> int:
        """An integer parameter."""
        value = self.query.get(name, "")
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise InvalidParameter(f'strconv.Atoi: parsing "{value}": invalid syntax') from None

    def before(self, major: int, minor: int) -> bool:
        """Whether the client speaks a version of the API older than this one."""
        if self._version is None:
            first, _, second = self.version.partition(".")
            self._version = (int(first), int(second))
        return self._version < (major, minor)

    # body ------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Called by the connection."""
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER:
            self.connection.hold()
        self._ready.set()

    def feed_end(self) -> None:
        """Called by the connection at the end of the body, or of the client."""
        self._complete = True
        self._ready.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Disconnected when the client ends in the middle of it."""
        while True:
            while self._chunks:
                data = self._chunks.popleft()
                self._buffered -= len(data)
                if self._buffered <= HIGH_WATER // 2:
                    self.connection.release()
                yield data
            if self._complete:
                return
            if self.connection.gone:
                raise Disconnected("the client closed the connection in the middle of its request")
            self._ready.clear()
            await self._ready.wait()

    async def body(self, limit: int = 16 << 20) -> bytes:
        """The whole body, at most ``limit`` bytes."""
        parts, size = [], 0
        async for data in self.chunks():
            size += len(data)
            if size > limit:
                raise InvalidParameter(f"request body too large: more than {limit} bytes")
            parts.append(data)
        return b"".join(parts)

    # answer ----------------------------------------------------------------------------------------------------

    def respond(self, status: int, body: bytes = b"", content_type: str = "application/json",
                extra: str = "") -> None:
        """The whole answer at once."""
        self.responded = True
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n{COMMON_HEADERS}{extra}"
        if status not in (204, 304):
            kind = f"Content-Type: {content_type}\r\n" if body else ""
            head += f"{kind}Content-Length: {len(body)}\r\n"
        if not self.keep_alive:
            head += "Connection: close\r\n"
        payload = b"" if self.method == "HEAD" else body
        self.connection.send(head.encode("latin-1", "replace") + b"\r\n" + payload)

    async def stream(self, status: int = 200, content_type: str = "application/json", extra: str = "") -> Stream:
        """Begin an answer of unknown length."""
        self.responded = True
        chunked = "Transfer-Encoding: chunked\r\n"
        close = "" if self.keep_alive else "Connection: close\r\n"
        head = (f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n{COMMON_HEADERS}{extra}"
                f"Content-Type: {content_type}\r\n{chunked}{close}\r\n")
        self.connection.send(head.encode("latin-1"))
        return Stream(self.connection)

    async def hijack(self, content_type: str = "application/vnd.docker.raw-stream", protocol: str = "tcp") -> Hijacked:
        """Take the connection over: 101 where the client asked for an upgrade, else 200 and raw bytes."""
        self.responded = True
        self.keep_alive = False
        if self.wants_upgrade:
            head = (f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\n"
                    f"Upgrade: {protocol}\r\n")
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n"
        return self.connection.hijack(f"{head}{COMMON_HEADERS}\r\n".encode("latin-1"))


    def upgrade(self, protocol: str, extra: str) -> Hijacked:
        """Take the connection over for another protocol."""
        self.responded = True
        self.keep_alive = False
        head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n{extra}"
        return self.connection.hijack(f"{head}{COMMON_HEADERS}\r\n".encode("latin-1"))


class Stream:
    """The chunked body of an answer under way."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def write(self, data: bytes) -> None:
        """One chunk; waits while the client does not read; Disconnected when it is gone."""
        if data:
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))
            await self._connection.drain()

    def write_soon(self, data: bytes) -> None:
        """One chunk without waiting: for progress callbacks, whose volume is small."""
        if data and not self._connection.gone:
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """The last chunk."""
        if not self._connection.gone:
            self._connection.send(b"0\r\n\r\n")


class Hijacked:
    """The raw connection (api/streams.py RawStream)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunks: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._eof = False

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        if len(self._chunks) > 64:
            self._connection.hold()
        self._ready.set()

    def feed_eof(self) -> None:
        self._eof = True
        self._ready.set()

    async def read(self) -> bytes:
        while not self._chunks:
            if self._eof:
                return b""
            self._ready.clear()
            await self._ready.wait()
        data = self._chunks.popleft()
        if len(self._chunks) < 16:
            self._connection.release()
        return data

    async def write(self, data: bytes) -> None:
        self._connection.send(data)
        await self._connection.drain()

    def write_soon(self, data: bytes) -> None:
        """Without waiting, and for nothing when the client is gone."""
        if not self._connection.gone:
            self._connection.send(data)

    def close(self) -> None:
        self._connection.close()


Handler = Callable[[Request], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client. Requests are answered one after the other; a client that leaves cancels what streams to it."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._request: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._pending: list[bytes] = []
        self._hijacked: Hijacked | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._held = False
        self._head_size = 0
        self._upgrade_body = 0  # bytes of body still to come before an upgraded connection turns raw
        self._url = b""
        self._headers: dict[str, str] = {}
        self.gone = False
        self._ended = False     # the client sends nothing more
        self.peer: tuple[int, int, int] = (0, 0, 0)

    # asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family == socket.AF_UNIX:
            # who asks, for the audit log: pid, uid, gid of the client at connect
            self.peer = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        if self._hijacked is not None:
            self._hijacked.feed(data)
            return
        if self._upgrade_body:
            self._feed_upgrade_body(data)
            return
        if self._task is not None and self._request is not None and self._request._complete:
            self._pending.append(data)  # pipelined, or the raw part of a stream about to be taken over
            if sum(map(len, self._pending)) > HIGH_WATER:
                self.hold()
            return
        self._parse(data)

    def eof_received(self) -> bool:
        if self._hijacked is not None:
            self._hijacked.feed_eof()
            return True  # half-close: our side stays open
        request = self._request
        if self._task is not None and request is not None and request._complete and not request.abandons:
            self._ended = True      # a client that has said all it wants to say still reads (`nc -U`, `socat`)
            return True
        self.gone = True
        if request is not None:
            request._ready.set()
        if self._task is not None:
            self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._connections.discard(self)
        self._writable.set()
        if self._hijacked is not None:
            self._hijacked.feed_eof()
        if self._request is not None:
            self._request._ready.set()
        self._leave()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools -------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = {}
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            raise InvalidParameter("request headers too large")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        before = self._headers.get(key)
        self._headers[key] = text if before is None else f"{before}, {text}"     # RFC 9110, 5.3

    def on_headers_complete(self) -> None:
        request = Request(self, self._parser.get_method().decode(), self._url, self._headers)
        request.keep_alive = self._parser.should_keep_alive() or request.wants_upgrade
        self._request = request
        if request.wants_upgrade:
            # the parser takes everything after the head of an upgrade for the new protocol: the body is ours to count
            length = self._headers.get("content-length", "0")
            if not length.isdigit() or "transfer-encoding" in self._headers:
                raise InvalidParameter("a request for an upgrade needs a Content-Length")
            self._upgrade_body = int(length)
        if self._headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._task = asyncio.get_running_loop().create_task(self._serve(request))

    def on_body(self, body: bytes) -> None:
        if self._request is not None:
            self._request.feed(body)

    def on_message_complete(self) -> None:
        if self._request is not None and not self._upgrade_body:
            self._request.feed_end()

    def _feed_upgrade_body(self, data: bytes) -> None:
        body, rest = data[:self._upgrade_body], data[self._upgrade_body:]
        self._upgrade_body -= len(body)
        if self._request is not None:
            self._request.feed(body)
            if not self._upgrade_body:
                self._request.feed_end()
        if rest:
            self._pending.append(rest)

    # used by Request and its answers ---------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self._transport is None or self.gone:
            raise Disconnected("the client closed the connection")
        self._transport.write(data)

    async def drain(self) -> None:
        if not self._writable.is_set():
            await self._writable.wait()
        if self.gone:
            raise Disconnected("the client closed the connection")

    def hold(self) -> None:
        if not self._held and self._transport is not None and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        if self._held and self._transport is not None and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    def hijack(self, head: bytes) -> Hijacked:
        self.send(head)
        self._hijacked = Hijacked(self)
        for data in self._pending:
            self._hijacked.feed(data)
        self._pending.clear()
        if self.gone:
            self._hijacked.feed_eof()
        return self._hijacked

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    # inside ----------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0]:]
            if self._upgrade_body:
                self._feed_upgrade_body(rest)
            elif rest:
                self._pending.append(rest)
        except (httptools.HttpParserError, InvalidParameter) as error:
            if self._transport is not None and self._task is None:
                body = b"400 Bad Request: " + str(error).encode()
                self.send(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                          b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            self.close()

    async def _serve(self, request: Request) -> None:
        try:
            await self._handler(request)
            if self._hijacked is None and not request._complete:
                await self._rest(request)
        except Disconnected:
            self.close()
        finally:
            self._task = None
        if self._hijacked is not None:
            return
        if not request.keep_alive or self.gone or self._ended:
            self.close()
            return
        if not request._complete:  # an answer before the end of the body: the rest cannot be told from a new request
            self.close()
            return
        self._request = None
        if request.wants_upgrade:  # refused; the parser has stopped at the upgrade and begins anew
            self._parser = httptools.HttpRequestParser(self)
        self.release()
        while self._pending and self._task is None:
            self._parse(self._pending.pop(0))

    async def _rest(self, request: Request) -> None:
        """Take in what is left of a body that nobody wanted, so that the client reads the answer and not EPIPE."""
        left = REST
        try:
            async with asyncio.timeout(REST_PATIENCE):
                async for data in request.chunks():
                    left -= len(data)
                    if left < 0:
                        return
        except TimeoutError:
            return

    def _leave(self) -> None:
        if self._task is not None and self._hijacked is None:
            self._task.cancel()
