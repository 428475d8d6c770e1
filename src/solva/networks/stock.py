"""Network namespaces made ahead, so that a sandbox does not wait for the kernel to make one."""

from __future__ import annotations

import asyncio

from solva.networks import namespace
from solva.networks.host import Host
from solva.networks.namespace import Namespace


class Stock:
    """Up to ``namespace.STOCK`` of them, each two descriptors; refilled behind the answers."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ready: list[Namespace] = []
        self._filling: asyncio.Task[None] | None = None
        self._closed = False

    async def take(self) -> Namespace:
        """One of the stock, or a new one."""
        found = self._ready.pop() if self._ready else await self._host.call(namespace.make)
        self.fill()
        return found

    def fill(self) -> None:
        """Start refilling unless it goes on already."""
        if self._closed or (self._filling is not None and not self._filling.done()):
            return
        self._filling = asyncio.get_running_loop().create_task(self._fill())

    async def _fill(self) -> None:
        while len(self._ready) < namespace.STOCK and not self._closed:
            made = await self._host.later(_make_idle)
            self._ready.append(made)

    async def settle(self) -> None:
        """Wait for a refill that goes on."""
        if self._filling is not None:
            await asyncio.wait([self._filling])

    async def close(self) -> None:
        """Let go of what is left."""
        self._closed = True
        await self.settle()
        for made in self._ready:
            await self._host.later(made.close)
        self._ready.clear()


def _make_idle() -> Namespace:
    made = namespace.make()
    if made.nft is not None:
        made.nft.close()      # takes up to 15 ms, which nobody waits for here
        made.nft = None
    return made
