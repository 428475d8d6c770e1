"""A plugin that answers what a test wants, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

Answer = dict[str, Any] | bytes | None
"""A JSON object; bytes to send as they are; None for silence."""


class FakePlugin:
    """``answers``: by method, a value or a function of the request. Unknown methods are 404."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.calls: list[tuple[str, Any]] = []
        self.released = asyncio.Event()

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def request(self, method: str) -> Any:
        """The last request of a method."""
        return next(body for name, body in reversed(self.calls) if name == method)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(line.partition(":")[2]) for line in head.splitlines()
                           if line.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            method = head.split()[1][1:]
            self.calls.append((method, json.loads(body) if body else None))
            answer = self.answers.get(method, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if callable(answer):
                answer = answer(self.calls[-1][1])
            if answer is None:
                await self.released.wait()
            else:
                writer.write(answer if isinstance(answer, bytes) else ok(answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def ok(answer: Any, status: str = "200 OK") -> bytes:
    """An HTTP response with a JSON body."""
    body = json.dumps(answer).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def served(plugin: FakePlugin, path: Path, ssl: Any = None) -> AsyncIterator[FakePlugin]:
    """``path``: of its socket."""
    server = await asyncio.start_unix_server(plugin.serve, path)
    try:
        yield plugin
    finally:
        plugin.released.set()
        server.close()


def capable(*kinds: str) -> Callable[[Any], dict[str, Any]]:
    """An answer to Plugin.Activate."""
    return lambda _: {"Implements": list(kinds)}


@contextmanager
def in_thread(plugin: FakePlugin, path: Path) -> Iterator[FakePlugin]:
    """Served from a thread, for tests that talk to a live engine meanwhile."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def body() -> None:
        plugin.released = asyncio.Event()
        async with served(plugin, path):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(body(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield plugin
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        path.unlink(missing_ok=True)
