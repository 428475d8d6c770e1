"""The contract of a network driver. A driver's test binds it: a subclass of ``DriverSuite`` named Test…, with ``make``,
and ``network`` for the record to create. Every test runs on a host of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from solva.errors import SolvaError
from solva.kernel import links, netns
from solva.kernel.netlink import Netlink
from solva.networks import namespace
from solva.networks.drivers.base import AllocatesNetworks, DriverNetwork, Interface, NetworkDriver
from solva.networks.endpoints import made
from solva.networks.host import Host
from solva.networks.model import Endpoint, EndpointConfig, Network, Pool, Sandbox, SandboxConfig
from solva.networks.namespace import Namespace
from support.netrig import fresh_host, inside_names, link_names

MAC = "02:00:00:00:00:05"
Body = Callable[["Rig"], Awaitable[None]]


class Rig:
    """A host, a driver on it and a network that is not created yet."""

    def __init__(self, kernel: Netlink, host: Host, driver: NetworkDriver, record: Network, run: Path, *,
                 interface: bool) -> None:
        self.kernel = kernel
        self.interface = interface
        self.host = host
        self.driver = driver
        self.net: DriverNetwork = driver.parse(record)
        self.run = run
        self.number = 0

    def sandbox(self, name: str = "one") -> tuple[Sandbox, Namespace]:
        """A pinned namespace."""
        inside = namespace.make()
        identifier = name.encode().hex().ljust(64, "0")
        path = str(self.run / identifier)
        netns.pin(inside.descriptor, path)
        return Sandbox(identifier, path, (), (), "", "", "", SandboxConfig(identifier, name)), inside

    def endpoint(self) -> Endpoint:
        self.number += 1
        mac = f"{MAC[:-2]}{self.number:02x}"
        record = self.net.network
        pool = record.pool(4) if self.driver.traits.addresses else None
        found = Endpoint(f"{self.number:x}".rjust(64, "e")[::-1], record.id, record.name, ifname="eth0", mac=mac,
                         config=EndpointConfig(record.name))
        if pool is not None:
            base = pool.subnet.partition("/")[0].rpartition(".")[0]
            found = replace(found, ipv4=f"{base}.{100 + self.number}", prefix4=int(pool.subnet.partition("/")[2]))
        return found

    async def join(self, endpoint: Endpoint, sandbox: Sandbox, inside: Namespace) -> tuple[Endpoint, Interface]:
        """As the engine does it."""
        interface = await self.driver.join(self.net, endpoint, sandbox, inside)
        endpoint = made(endpoint, interface)
        if self.interface and not interface.configured:
            await self.host.call(lambda: namespace.configure(inside, endpoint))
        return endpoint, interface

    async def leave(self, endpoint: Endpoint, sandbox: Sandbox) -> None:
        await self.driver.leave(self.net, endpoint, sandbox)
        if endpoint.link:
            await self.host.delete_links([endpoint.link])


class DriverSuite:
    """What every driver does. ``interface`` False: nothing is made in the sandbox (host, none)."""

    interface = True
    options: dict[str, str] = {}        # noqa: RUF012
    pools: tuple[Pool, ...] = (Pool("10.77.0.0/24", "10.77.0.1", given=True, gateway_given=True),)

    def make(self, host: Host) -> NetworkDriver:
        raise NotImplementedError

    def prepare(self, kernel: Netlink) -> None:
        """What the driver needs of the machine (a parent interface)."""

    def network(self) -> Network:
        return Network("5" * 64, "suite", "suite", 1, options=self.options, pools=self.pools)

    @pytest.fixture
    def play(self, tmp_path: Path) -> Iterator[Callable[[Body], None]]:
        """Runs a test's body with a rig, and looks for what is left."""
        if os.geteuid() != 0:
            pytest.skip("needs root")
        with fresh_host(tmp_path) as kernel:
            self.prepare(kernel)
            before = link_names(kernel)
            host = Host(tmp_path)

            async def whole(body: Body) -> None:
                driver, record = self.make(host), self.network()
                if isinstance(driver, AllocatesNetworks):
                    record = await driver.allocate_network(record)
                rig = Rig(kernel, host, driver, record, tmp_path, interface=self.interface)
                await rig.driver.create_network(rig.net)
                try:
                    await body(rig)
                finally:
                    await rig.driver.delete_network(rig.net)
                    await rig.driver.delete_network(rig.net)
                    if isinstance(driver, AllocatesNetworks):
                        await driver.free_network(record)

            try:
                yield lambda body: asyncio.run(whole(body))
                assert link_names(kernel) == before, "the network left links behind"
            finally:
                host.close()
                for path in tmp_path.iterdir():
                    if path.is_file():
                        netns.unpin(path)

    def test_create_is_idempotent_and_tells_its_links(self, play: Callable[[Body], None]) -> None:
        async def body(rig: Rig) -> None:
            await rig.driver.create_network(rig.net)
            names = link_names(rig.kernel)
            assert set(rig.driver.links(rig.net)) <= names
            assert rig.driver.parse(rig.net.network) == rig.net

        play(body)

    def test_join_and_leave(self, play: Callable[[Body], None]) -> None:
        async def body(rig: Rig) -> None:
            before = link_names(rig.kernel)
            sandbox, inside = rig.sandbox()
            endpoint, interface = await rig.join(rig.endpoint(), sandbox, inside)
            if self.interface:
                link = links.get_link(inside.netlink, endpoint.ifname)
                assert link is not None
                assert link.mac == endpoint.mac
                assert link.up
            if interface.link:
                assert interface.link in link_names(rig.kernel)
            assert await rig.driver.restore(rig.net, endpoint, sandbox)
            await rig.leave(endpoint, sandbox)
            await rig.leave(endpoint, sandbox)
            if self.interface:
                assert endpoint.ifname not in inside_names(sandbox.netns)
            assert link_names(rig.kernel) == before
            inside.close()

        play(body)

    def test_leave_when_the_namespace_is_gone(self, play: Callable[[Body], None]) -> None:
        async def body(rig: Rig) -> None:
            before = link_names(rig.kernel)
            sandbox, inside = rig.sandbox()
            endpoint, _ = await rig.join(rig.endpoint(), sandbox, inside)
            inside.close()
            netns.unpin(sandbox.netns)
            await rig.leave(endpoint, sandbox)
            await rig.leave(endpoint, replace(sandbox, netns=""))
            assert link_names(rig.kernel) <= before

        play(body)

    def test_a_failed_join_leaves_nothing(self, play: Callable[[Body], None]) -> None:
        async def body(rig: Rig) -> None:
            if not self.interface:
                return
            before = link_names(rig.kernel)
            sandbox, inside = rig.sandbox()
            first, _ = await rig.join(rig.endpoint(), sandbox, inside)
            with_one = link_names(rig.kernel)
            with pytest.raises(SolvaError):      # the name eth0 is taken in there
                await rig.driver.join(rig.net, rig.endpoint(), sandbox, inside)
            assert link_names(rig.kernel) == with_one
            assert inside_names(sandbox.netns) == {"lo", first.ifname}
            await rig.leave(first, sandbox)
            assert link_names(rig.kernel) == before
            inside.close()

        play(body)

    def test_a_link_taken_away_joins_again(self, play: Callable[[Body], None]) -> None:
        async def body(rig: Rig) -> None:
            if not self.interface:
                return
            sandbox, inside = rig.sandbox()
            endpoint, _ = await rig.join(rig.endpoint(), sandbox, inside)
            inside.netlink.execute([links.delete_link(endpoint.ifname)])
            assert not await rig.driver.restore(rig.net, endpoint, sandbox)
            again, _ = await rig.join(endpoint, sandbox, inside)
            link = links.get_link(inside.netlink, again.ifname)
            assert link is not None
            assert link.mac == endpoint.mac
            await rig.leave(again, sandbox)
            inside.close()

        play(body)
