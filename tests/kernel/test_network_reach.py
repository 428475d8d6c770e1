"""Reachability by packets: who may reach a container, from the host, its network, another network and the LAN.

The test's thread moves into a namespace of its own that plays the host; another plays a machine on its LAN.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from solva.api.types.network import NetworkCreate
from solva.clock import SystemClock
from solva.dns.state import SandboxNames
from solva.errors import SystemFailure
from solva.events.bus import EventBus
from solva.kernel import links, netns, nft, sysctl
from solva.kernel.netlink import Netlink
from solva.networks.model import EndpointConfig, PortMapping, SandboxConfig
from solva.networks.service import NetworkService
from solva.store.sqlite import Store

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
LAN_HOST, LAN_PEER = "192.0.2.1", "192.0.2.9"


class QuietNames:
    """A name service that only remembers."""

    def __init__(self) -> None:
        self.held: dict[str, SandboxNames] = {}

    async def start(self) -> None: ...

    async def put(self, names: SandboxNames) -> None:
        self.held[names.id] = names

    async def remove(self, sandbox_id: str) -> None:
        self.held.pop(sandbox_id, None)

    def known(self) -> list[str]:
        return list(self.held)


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[int]:
    """The thread is in a fresh "host" namespace; yields a descriptor of the LAN machine's. Checks for leaks."""
    gc.collect()    # what earlier tests dropped must not be closed in the middle of this one
    before = len(os.listdir("/proc/self/fd"))
    home = netns.current()
    inside = netns.unshare()
    kernel = Netlink()
    peer = netns.create(lambda descriptor: descriptor)
    kernel.execute([links.set_link(1, up=True),
                    links.add_veth("lan0", master=0, peer="eth0", peer_netns=peer, peer_mac="02:00:00:00:00:09")])
    lan0 = links.get_link(kernel, "lan0")
    assert lan0 is not None
    kernel.execute([links.add_address(lan0.index, LAN_HOST, 24)])

    def other() -> None:
        there = Netlink()
        eth0 = links.get_link(there, "eth0")
        assert eth0 is not None
        there.execute([links.set_link(1, up=True), links.add_address(eth0.index, LAN_PEER, 24),
                       links.set_link(eth0.index, up=True),
                       links.add_route("default", index=eth0.index, gateway=LAN_HOST)])
        there.close()

    netns.run(peer, other)
    try:
        yield peer
    finally:
        names = {link.name for link in links.list_links(kernel)}
        rules = nft.Nft()
        rules.run("flush ruleset")      # of this test's own namespace
        rules.close()
        kernel.close()
        netns.enter(home)
        for descriptor in (home, inside, peer):
            os.close(descriptor)
    assert not {name for name in names if name.startswith("veth")}, "links were left behind"
    assert len(os.listdir("/proc/self/fd")) == before, "descriptors were left behind"
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text(), "mounts were left behind"


def serve(path: str, port: int) -> socket.socket:
    """Answer every TCP connection inside a namespace with the caller's address."""
    def listen() -> socket.socket:
        return socket.create_server(("0.0.0.0", port))

    descriptor = netns.open_pinned(path)
    server = netns.run(descriptor, listen)
    os.close(descriptor)

    def loop() -> None:
        while True:
            try:
                connection, address = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(address[0].encode())

    threading.Thread(target=loop, daemon=True).start()
    return server


def stop(server: socket.socket) -> None:
    """Wakes the accepting thread, so that nothing of the socket is left."""
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def ask(address: str, port: int) -> str:
    """The source address the other side saw, "" when it cannot be reached."""
    try:
        with socket.create_connection((address, port), timeout=0.7) as connection:
            return connection.recv(100).decode()
    except OSError:
        return ""


def ask_from(where: str | int, address: str, port: int) -> str:
    descriptor = where if isinstance(where, int) else netns.open_pinned(where)
    try:
        return netns.run(descriptor, lambda: ask(address, port))
    finally:
        if not isinstance(where, int):
            os.close(descriptor)


def make(tmp_path: Path, names: QuietNames) -> NetworkService:
    clock = SystemClock()
    return NetworkService(Store(tmp_path / "state.db"), EventBus(clock), clock, names, tmp_path / "run")


def close(service: NetworkService) -> None:
    """The test owns the store."""
    service._services.store.close()


def identifier(number: int) -> str:
    return f"abc{number:061x}"


@pytest.mark.parametrize("bridge_filter", ["0", "1"])
def test_truth_table(lan: int, tmp_path: Path, bridge_filter: str) -> None:
    sysctl.write_if_there("bridge/bridge-nf-call-iptables", bridge_filter)

    async def body() -> None:
        service = make(tmp_path, QuietNames())
        await service.start()
        for name in ("one", "two"):
            await service.create(NetworkCreate(name=name))
        web = await service.attach(SandboxConfig(
            id=identifier(1), name="web", endpoints=(EndpointConfig("one"),),
            ports=(PortMapping(8000, host_port=39080), PortMapping(8000, host_ip="127.0.0.1", host_port=39081))))
        near = await service.attach(SandboxConfig(id=identifier(2), name="near", endpoints=(EndpointConfig("one"),)))
        far = await service.attach(SandboxConfig(id=identifier(3), name="far", endpoints=(EndpointConfig("two"),)))
        address = web.endpoints[0].ipv4
        servers = [serve(web.netns, port) for port in (8000, 8001)]
        reach = {
            "host, its address": ask(address, 8001),
            "host, 127.0.0.1 published": ask("127.0.0.1", 39080),
            "host, own address": ask(LAN_HOST, 39080),
            "host, loopback only": ask("127.0.0.1", 39081),
            "same network": ask_from(near.netns, address, 8001),
            "same network, published": ask_from(near.netns, LAN_HOST, 39080),
            "other network, published": ask_from(far.netns, LAN_HOST, 39080),
            "itself, published": ask_from(web.netns, LAN_HOST, 39080),
            "lan, published": ask_from(lan, LAN_HOST, 39080),
        }
        refused = {
            "other network, its address": ask_from(far.netns, address, 8000),
            "lan, its address": ask_from(lan, address, 8000),
            "lan, loopback only": ask_from(lan, LAN_HOST, 39081),
        }

        def to_loopback() -> None:
            there = Netlink()
            eth0 = links.get_link(there, "eth0")
            assert eth0 is not None
            sysctl.write("ipv4/conf/eth0/route_localnet", "1")
            there.execute([links.set_link(1, up=False),
                           links.add_route("127.0.0.1/32", index=eth0.index, gateway=LAN_HOST)])
            there.close()

        netns.run(lan, to_loopback)
        refused["lan, 127.0.0.1"] = ask_from(lan, "127.0.0.1", 39081)
        for server in servers:
            stop(server)
        for number in (1, 2, 3):
            await service.detach(identifier(number))
        for name in ("one", "two"):
            await service.remove(name)
        await service.stop()
        close(service)
        assert all(reach.values()), reach
        assert reach["lan, published"] == LAN_PEER      # the source address is kept
        assert not any(refused.values()), refused

    asyncio.run(body())


def test_ports_go_on_without_the_engine_and_are_adopted(lan: int, tmp_path: Path) -> None:
    async def body() -> None:
        names = QuietNames()
        first = make(tmp_path, names)
        await first.start()
        web = await first.attach(SandboxConfig(id=identifier(1), name="web", ports=(PortMapping(80, host_port=39080),)))
        server = serve(web.netns, 80)
        await first.stop()
        close(first)
        assert ask_from(lan, LAN_HOST, 39080) == LAN_PEER
        second = make(tmp_path, names)
        await second.start()
        assert ask_from(lan, LAN_HOST, 39080) == LAN_PEER
        assert second.sandbox(identifier(1)) == web
        with pytest.raises(SystemFailure, match="port is already allocated by container web"):
            await second.attach(SandboxConfig(id=identifier(2), name="two", ports=(PortMapping(80, host_port=39080),)))
        await second._host.call(lambda: second._host.netlink.execute([links.delete_link(web.endpoints[0].link)]))
        assert ask_from(lan, LAN_HOST, 39080) == ""
        await second.repair()
        assert ask_from(lan, LAN_HOST, 39080) == LAN_PEER
        stop(server)
        await second.detach(identifier(1))
        await second.stop()
        close(second)

    asyncio.run(body())
