"""Docker's progress streams: one JSON object a line, errors in-band once the stream has begun."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from solva.errors import SolvaError
from solva.server.http import Disconnected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from solva.server.http import Request, Stream

log = logging.getLogger("solva.server")
_encode = msgspec.json.Encoder().encode


async def progress_stream(
    request: Request, work: Callable[[Callable[[dict[str, Any]], None]], Awaitable[None]], *, in_band: bool = False
) -> None:
    """Run ``work`` with a progress callback. An error before the first line is an ordinary answer (not with
    ``in_band``); after it, ``{"errorDetail": …, "error": …}`` ends the stream."""
    stream: Stream | None = None
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def progress(value: dict[str, Any]) -> None:
        lines.put_nowait(_encode(value) + b"\r\n")

    async def run() -> None:
        try:
            await work(progress)
        finally:
            lines.put_nowait(None)

    task = asyncio.ensure_future(run())
    try:
        while (line := await lines.get()) is not None:
            if stream is None:
                stream = await request.stream()
            await stream.write(line)
        try:
            await task
        except Disconnected:
            raise
        except Exception as error:
            if stream is None:
                if not in_band:
                    raise
                stream = await request.stream()
            if not isinstance(error, SolvaError):
                log.error("%s failed", request.path, exc_info=error)
            text = str(error) or type(error).__name__
            detail: dict[str, Any] = {"message": text}
            code = getattr(error, "exit_code", None)
            if code is not None:
                detail["code"] = code
            await stream.write(_encode({"errorDetail": detail, "error": text}) + b"\r\n")
        if stream is None:
            stream = await request.stream()
        stream.end()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
