"""WebSocket (RFC 6455), the server's side, as a raw stream: for attach. Binary messages out, any messages in."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.server.http import Hijacked, Request

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 0x2, 0x8, 0x9, 0xA
_LARGEST = 16 << 20


async def accept(request: Request) -> WebSocket:
    """The handshake. InvalidParameter for what is none."""
    key = request.headers.get("sec-websocket-key", "")
    if request.headers.get("upgrade", "").lower() != "websocket" or not key:
        raise InvalidParameter("bad request: not a websocket handshake")
    answer = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
    head = f"Sec-WebSocket-Accept: {answer}\r\n"
    offered = [each.strip() for each in request.headers.get("sec-websocket-protocol", "").split(",") if each.strip()]
    if offered:
        head += f"Sec-WebSocket-Protocol: {offered[0]}\r\n"
    return WebSocket(request.upgrade("websocket", head))


class WebSocket:
    """See RawStream."""

    def __init__(self, raw: Hijacked) -> None:
        self._raw = raw
        self._buffer = bytearray()
        self._closed = False

    async def read(self) -> bytes:
        while not self._closed:
            frame = await self._frame()
            if frame is None:
                return b""
            kind, data = frame
            if kind == _CLOSE:
                self._closed = True
                await self._send(_CLOSE, data[:2])
            elif kind == _PING:
                await self._send(_PONG, data)
            elif kind != _PONG and data:
                return data
        return b""

    async def write(self, data: bytes) -> None:
        await self._send(_BINARY, data)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._raw.write_soon(bytes((0x80 | _CLOSE, 2)) + struct.pack(">H", 1000))
        self._raw.close()

    async def _send(self, kind: int, data: bytes) -> None:
        if len(data) < 126:
            head = struct.pack(">BB", 0x80 | kind, len(data))
        elif len(data) < 65536:
            head = struct.pack(">BBH", 0x80 | kind, 126, len(data))
        else:
            head = struct.pack(">BBQ", 0x80 | kind, 127, len(data))
        await self._raw.write(head + data)

    async def _frame(self) -> tuple[int, bytes] | None:
        """(kind, payload) of one frame, None at the end of the client or for what is no frame of a client."""
        if not await self._have(2):
            return None
        kind, masked, length = self._buffer[0] & 0xF, self._buffer[1] & 0x80, self._buffer[1] & 0x7F
        start = 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if not await self._have(start + size):
                return None
            length = int.from_bytes(self._buffer[start:start + size], "big")
            start += size
        if not masked or length > _LARGEST or not await self._have(start + 4 + length):
            return None
        mask, data = bytes(self._buffer[start:start + 4]), bytes(self._buffer[start + 4:start + 4 + length])
        del self._buffer[:start + 4 + length]
        if not data:
            return kind, b""
        key = (mask * (length // 4 + 1))[:length]
        return kind, (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")

    async def _have(self, count: int) -> bool:
        while len(self._buffer) < count:
            data = await self._raw.read()
            if not data:
                return False
            self._buffer += data
        return True
