"""Small helpers of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(call: Callable[..., T], *arguments: object) -> T:
    """``call`` in a thread, as `asyncio.to_thread`; but whoever is cancelled waits until it has ended.

    For a call on a descriptor that is closed next: the thread would go on, into whatever file has that number by then.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
