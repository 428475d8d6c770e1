"""The host's side of the kernel: one thread that owns the host's netlink socket and nftables context, one that clears
away what takes the kernel long (removing a link: 15 to 30 ms)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from solva.errors import SystemFailure
from solva.kernel import links, netlink
from solva.kernel.netlink import Netlink, NetlinkError, Request

T = TypeVar("T")
DEFAULT_RUN = Path("/run/solva")
DEFAULT_BRIDGE = "solva0"


def failure(error: OSError) -> SystemFailure:
    """A kernel error as the user reads it: operation, object, the errno's text."""
    text = error.strerror or str(error)
    return SystemFailure(f"{text}: {error.filename}" if error.filename else text)


class Host:
    """Made in the engine's network namespace. ``run`` is the run directory: an engine on another one than the default
    has names of its own for everything it makes, so that two engines on one machine do not meddle."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.instance = "" if run == DEFAULT_RUN else hashlib.sha256(str(run).encode()).hexdigest()[:4]
        self.table = f"solva_{self.instance}" if self.instance else "solva"
        self.default_bridge = f"{DEFAULT_BRIDGE}-{self.instance}" if self.instance else DEFAULT_BRIDGE
        self.gateway_bridge = f"solvagw-{self.instance}" if self.instance else "solva_gwbridge"
        self.veth_prefix = f"veth{self.instance or '0000'}"
        self.alias = f"solva:{self.instance}"
        self.netlink = Netlink()
        self._slow = Netlink()
        self._quick = ThreadPoolExecutor(1, "solva-net")
        self._reaper = ThreadPoolExecutor(1, "solva-net-reaper")

    def veth_name(self, endpoint_id: str) -> str:
        """The outer end of an endpoint's link."""
        return f"{self.veth_prefix}{endpoint_id[:7]}"

    async def call(self, action: Callable[[], T]) -> T:
        """``action`` in the thread that owns the netlink socket; OSError becomes SystemFailure."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._quick, action)
        except OSError as error:
            raise failure(error) from error

    async def execute(self, requests: Iterable[Request]) -> None:
        """A batch of netlink requests."""
        await self.call(lambda: self.netlink.execute(requests))

    async def later(self, action: Callable[[], T]) -> T:
        """``action`` in the thread for slow things."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reaper, action)
        except OSError as error:
            raise failure(error) from error

    async def delete_links(self, names: Iterable[str]) -> None:
        """Remove links; those that are gone are fine."""

        def body() -> None:
            for name in names:
                try:
                    self._slow.execute([links.delete_link(name)])
                except NetlinkError as error:
                    if not netlink.gone(error):
                        raise

        await self.later(body)

    def close(self) -> None:
        """Waits for what is under way."""
        self._quick.shutdown()
        self._reaper.shutdown()
        self.netlink.close()
        self._slow.close()
