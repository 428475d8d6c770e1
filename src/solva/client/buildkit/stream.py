"""A connection of the synchronous transport as a RawStream of asyncio: whatever it is (a unix socket, TLS, ssh), two
threads read and write it."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from solva.client.transport import Connection

CHUNK = 1 << 17
_QUEUE = 32


class ThreadedStream:
    """See ``api.streams.RawStream``. Made on the loop that uses it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = threading.Semaphore(_QUEUE)
        self._outgoing: SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = SimpleQueue()
        self._closed = False
        for target in (self._read, self._write):
            threading.Thread(target=target, daemon=True).start()

    def _read(self) -> None:
        data = self._connection.buffer
        try:
            while True:
                if data:
                    self._room.acquire()
                    self._loop.call_soon_threadsafe(self._incoming.put_nowait, data)
                data = self._connection.sock.recv(CHUNK)
                if not data:
                    break
        except (OSError, RuntimeError):     # closed, or the loop has ended
            pass
        try:
            self._loop.call_soon_threadsafe(self._incoming.put_nowait, b"")
        except RuntimeError:
            pass

    def _write(self) -> None:
        while (item := self._outgoing.get()) is not None:
            data, done = item
            error: BaseException | None = None
            try:
                self._connection.sock.sendall(data)
            except OSError as failure:
                error = ConnectionError(str(failure))
            try:
                self._loop.call_soon_threadsafe(_settle, done, error)
            except RuntimeError:
                return

    async def read(self) -> bytes:
        if self._closed and self._incoming.empty():
            return b""
        data = await self._incoming.get()
        self._room.release()
        return data

    async def write(self, data: bytes) -> None:
        if self._closed:
            raise ConnectionError("the connection is closed")
        done: asyncio.Future[None] = self._loop.create_future()
        self._outgoing.put((data, done))
        await done

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._outgoing.put(None)
            try:
                self._connection.sock.shutdown(2)
            except OSError:
                pass
            self._connection.close()


def _settle(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(None)
