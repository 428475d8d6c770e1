"""POST of JSON over plain HTTP/1.1: what etcd's gateway needs, answers whole or line by line."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

CONNECT_SECONDS = 3.0
_LIMIT = 1 << 16
_PIECE = 1 << 16
_MAX_ANSWER = 256 << 20
_IDLE = 4


class HttpError(Exception):
    """The server could not be reached, or what came was no HTTP. ``sent``: the request may have had its effect."""

    def __init__(self, text: str, *, sent: bool = False) -> None:
        super().__init__(text)
        self.sent = sent


class Connection:
    """One connection to one server."""

    def __init__(self, server: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self._reader, self._writer = reader, writer
        self._chunked = False
        self._left = 0
        self._keep = True

    @classmethod
    async def open(cls, server: tuple[str, int]) -> Connection:
        """HttpError when there is no answer within ``CONNECT_SECONDS``."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(*server, limit=_LIMIT)
        except TimeoutError:
            raise HttpError(f"no answer within {CONNECT_SECONDS:.0f} s") from None
        except OSError as error:
            raise HttpError(_reason(error)) from error
        _detect_dead_peer(writer.get_extra_info("socket"))
        return cls(server, reader, writer)

    def close(self) -> None:
        self._writer.close()

    async def post(self, path: str, body: bytes, headers: str = "") -> int:
        """Send a request and read the head of its answer: the status. HttpError when the connection breaks."""
        host, port = self.server
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._writer.write(f"POST {path} HTTP/1.1\r\nHost: {where}\r\nContent-Type: application/json\r\n{headers}"
                           f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        try:
            await self._writer.drain()
            return await self._head()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise HttpError(_reason(error), sent=True) from error

    async def _head(self) -> int:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        words = head[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise HttpError(f"not an HTTP server: {head[0][:80]!r}", sent=True)
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        self._chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        length = fields.get("content-length", "")
        self._keep = (self._chunked or length.isdigit()) and fields.get("connection", "").lower() != "close"
        self._left = int(length) if length.isdigit() else -1
        return int(words[1])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        try:
            if self._chunked:
                while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                    yield (await self._reader.readexactly(size + 2))[:-2]
                while (await self._reader.readuntil(b"\r\n")) != b"\r\n":
                    pass      # trailers
                return
            while self._left:
                piece = await self._reader.read(_PIECE if self._left < 0 else min(self._left, _PIECE))
                if not piece:
                    if self._left < 0:
                        return
                    raise HttpError("the connection was closed in the middle of an answer", sent=True)
                self._left -= len(piece) if self._left > 0 else 0
                yield piece
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise HttpError(_reason(error), sent=True) from error

    async def body(self) -> bytes:
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > _MAX_ANSWER:
                raise HttpError("an answer of more than 256 MB", sent=True)
        return bytes(found)

    async def lines(self) -> AsyncIterator[bytes]:
        """A body that is a stream of lines."""
        rest = b""
        async for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line

    @property
    def reusable(self) -> bool:
        """After the body has been read."""
        return self._keep and not self._writer.is_closing() and not self._reader.at_eof()


class Connections:
    """Idle connections by server, used again."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[Connection]] = {}

    async def call(self, server: tuple[str, int], path: str, body: Any, seconds: float) -> tuple[int, Any]:
        """Status and decoded answer. A connection that died while idle is not an error; HttpError otherwise."""
        data = json.dumps(body).encode()
        try:
            async with asyncio.timeout(seconds):
                kept = self._idle.get(server)
                while kept:
                    connection = kept.pop()
                    if connection.reusable:
                        try:
                            return await self._exchange(connection, path, data)
                        except HttpError:
                            break
                return await self._exchange(await Connection.open(server), path, data)
        except TimeoutError:
            raise HttpError(f"no answer within {seconds:.0f} s", sent=True) from None

    async def _exchange(self, connection: Connection, path: str, data: bytes) -> tuple[int, Any]:
        done = False
        try:
            status = await connection.post(path, data)
            text = await connection.body()
            done = True
        finally:
            if not done:
                connection.close()
        if connection.reusable and len(self._idle.setdefault(connection.server, [])) < _IDLE:
            self._idle[connection.server].append(connection)
        else:
            connection.close()
        try:
            return status, json.loads(text)
        except ValueError:
            raise HttpError(f"HTTP status {status}, not JSON: {text[:80]!r}", sent=True) from None

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()


def _detect_dead_peer(sock: socket.socket) -> None:
    """A server behind a cut cable is noticed within some ten seconds, also by who only listens."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 4), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3),
                          (socket.TCP_USER_TIMEOUT, 10_000)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _reason(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection was closed"
    if isinstance(error, OSError) and error.errno:
        return (os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)).lower()
    return str(error) or type(error).__name__
