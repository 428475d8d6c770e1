"""Reachability by packets: who may reach a container, from the host, its network, another network and the LAN.

The test's thread moves into a namespace of its own that plays the host; another plays a machine on its LAN.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from solva.api.types.network import NetworkCreate
from solva.errors import SystemFailure
from solva.kernel import links, netns, sysctl
from solva.kernel.netlink import Netlink
from solva.networks.model import EndpointConfig, PortMapping, SandboxConfig
from support.netrig import (
    Question,
    QuietNames,
    ask_all,
    ask_from,
    close,
    fresh_host,
    identifier,
    lan_machine,
    make,
    serve,
    stop,
)

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
LAN_HOST, LAN_PEER = "192.0.2.1", "192.0.2.9"


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[int]:
    """The thread is in a fresh "host" namespace; yields a descriptor of the LAN machine's. Checks for leaks."""
    with fresh_host(tmp_path) as kernel, lan_machine(kernel, LAN_HOST, LAN_PEER) as peer:
        yield peer


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
        reach: dict[str, Question] = {
            "host, its address": (None, address, 8001),
            "host, 127.0.0.1 published": (None, "127.0.0.1", 39080),
            "host, own address": (None, LAN_HOST, 39080),
            "host, loopback only": (None, "127.0.0.1", 39081),
            "same network": (near.netns, address, 8001),
            "same network, published": (near.netns, LAN_HOST, 39080),
            "other network, published": (far.netns, LAN_HOST, 39080),
            "itself, published": (web.netns, LAN_HOST, 39080),
            "lan, published": (lan, LAN_HOST, 39080),
        }
        refused: dict[str, Question] = {
            "other network, its address": (far.netns, address, 8000),
            "lan, its address": (lan, address, 8000),
            "lan, loopback only": (lan, LAN_HOST, 39081),
        }

        def to_loopback() -> None:
            there = Netlink()
            eth0 = links.get_link(there, "eth0")
            assert eth0 is not None
            sysctl.write("ipv4/conf/eth0/route_localnet", "1")
            there.execute([links.set_link(1, up=False),
                           links.add_route("127.0.0.1/32", index=eth0.index, gateway=LAN_HOST)])
            there.close()

        answers = ask_all({**reach, **refused})
        netns.run(lan, to_loopback)
        answers["lan, 127.0.0.1"] = ask_from(lan, "127.0.0.1", 39081)
        for server in servers:
            stop(server)
        for number in (1, 2, 3):
            await service.detach(identifier(number))
        for name in ("one", "two"):
            await service.remove(name)
        await service.stop()
        close(service)
        assert {name for name, answer in answers.items() if answer} == set(reach)
        assert answers["lan, published"] == LAN_PEER      # the source address is kept

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
