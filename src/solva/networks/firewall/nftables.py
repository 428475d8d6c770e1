"""The firewall in the kernel: the table as it is there, and changes to it as single transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from solva.errors import SystemFailure
from solva.kernel.nft import Nft
from solva.networks.firewall import ruleset, table
from solva.networks.firewall.ruleset import BridgeRules, LinkRule, PortRule
from solva.networks.host import Host


class Firewall:
    """Our one table. What a failed change would have done is neither in the kernel nor remembered here."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._nft: Nft | None = None
        self._lock = asyncio.Lock()
        self._networks: dict[str, BridgeRules] = {}
        self._ports: dict[str, tuple[PortRule, ...]] = {}
        self._links: tuple[LinkRule, ...] = ()
        self._guarded: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._current = ruleset.build(host.table, (), ())

    async def reset(self, networks: Mapping[str, BridgeRules], ports: Mapping[str, tuple[PortRule, ...]],
                    links: tuple[LinkRule, ...] = ()) -> None:
        """Put the whole table in place of whatever is there."""
        async with self._lock:
            self._networks, self._ports, self._links = dict(networks), dict(ports), links
            self._current = self._wanted()
            await self._commit(table.rebuild(self._current))

    async def restore(self) -> None:
        """Put the table back as it was last committed: somebody has removed or changed it."""
        async with self._lock:
            await self._commit(table.rebuild(self._current))

    async def set_network(self, network_id: str, rules: BridgeRules | None) -> None:
        """None takes the network out."""
        async with self._lock:
            before = dict(self._networks)
            self._networks.pop(network_id, None)
            if rules is not None:
                self._networks[network_id] = rules
            try:
                await self._change()
            except BaseException:
                self._networks = before
                raise

    async def set_ports(self, sandbox_id: str, ports: tuple[PortRule, ...]) -> None:
        """Everything a sandbox publishes; () takes it out."""
        if ports == self._ports.get(sandbox_id, ()):
            return
        async with self._lock:
            before = dict(self._ports)
            self._ports.pop(sandbox_id, None)
            if ports:
                self._ports[sandbox_id] = ports
            try:
                await self._change()
            except BaseException:
                self._ports = before
                raise

    async def set_links(self, links: tuple[LinkRule, ...]) -> None:
        """All that links let through, of every sandbox."""
        if links == self._links:
            return
        before, self._links = self._links, links      # at once: calls are in the order of what they were told
        async with self._lock:
            try:
                await self._change()
            except BaseException:
                if self._links is links:
                    self._links = before
                raise

    async def guard(self, guarded4: Sequence[str], guarded6: Sequence[str]) -> None:
        """Interfaces between which nothing is forwarded (``forwarding.py``)."""
        async with self._lock:
            self._guarded = (tuple(guarded4), tuple(guarded6))
            if self._nft is not None:
                await self._change()

    async def remove(self) -> None:
        """Leave no table behind."""
        async with self._lock:
            await self._commit(table.remove(self._current))

    async def close(self) -> None:
        """Let go of the library's context; the table stays."""
        async with self._lock:
            if self._nft is not None:
                await self._host.later(self._nft.close)
                self._nft = None

    def __str__(self) -> str:
        return str(self._current)

    def _wanted(self) -> table.Table:
        ports = [rule for rules in self._ports.values() for rule in rules]
        return ruleset.build(self._host.table, list(self._networks.values()), ports, *self._guarded, self._links)

    async def _change(self) -> None:
        wanted = self._wanted()
        text = table.difference(self._current, wanted)
        if text:
            try:
                await self._commit(text)
            except SystemFailure:
                # The table may have been taken away this moment; if that is not it, this fails as well.
                await self._commit(table.rebuild(wanted))
        self._current = wanted

    async def _commit(self, text: str) -> None:
        def body() -> None:
            if self._nft is None:
                self._nft = Nft()
            self._nft.run(text)

        # A transaction that has begun must not be forgotten half-way: the table here and in the kernel would differ.
        await asyncio.shield(asyncio.ensure_future(self._host.call(body)))
