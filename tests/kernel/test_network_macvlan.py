"""macvlan by packets: one namespace is the host, another a machine on its LAN, joined by a veth pair as the wire."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from solva.api.types.network import Ipam, IpamPool, NetworkCreate
from solva.errors import Forbidden, InvalidParameter, SystemFailure
from solva.kernel import links, netns
from solva.kernel.netlink import Netlink
from solva.networks.model import EndpointConfig, Sandbox, SandboxConfig
from solva.networks.service import NetworkService
from support.netrig import (
    QuietNames,
    ask,
    ask_from,
    close,
    fresh_host,
    identifier,
    inside_names,
    lan_machine,
    link_names,
    make,
    serve,
    stop,
)

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
HOST, MACHINE = "192.0.2.1", "192.0.2.9"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[int]:
    with fresh_host(tmp_path) as kernel, lan_machine(kernel, HOST, MACHINE) as peer:
        yield peer


def request(name: str, *, driver: str = "macvlan", subnet: str = "192.0.2.0/24", gateway: str = "192.0.2.254",
            aux: dict[str, str] | None = None, **options: str) -> NetworkCreate:
    names = {key.replace("__", "."): value for key, value in options.items()}
    pool = IpamPool(subnet, "", gateway, aux or {})
    return NetworkCreate(name=name, driver=driver, options=names, ipam=Ipam(config=[pool]))


async def attach(service: NetworkService, number: int, network: str, address: str = "") -> Sandbox:
    return await service.attach(SandboxConfig(id=identifier(number), name=f"c{number}",
                                              endpoints=(EndpointConfig(network, ipv4=address),)))


def neighbour(where: int, address: str) -> str:
    """The MAC address a machine has learnt for an address."""
    def look() -> str:
        for line in Path("/proc/thread-self/net/arp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[0] == address:
                return fields[3]
        return ""

    return netns.run(where, look)


def default_route(path: str) -> list[str]:
    """Gateways of the default routes inside a namespace, as hex of /proc/net/route."""
    descriptor = netns.open_pinned(path)

    def look() -> list[str]:
        rows = [line.split() for line in Path("/proc/thread-self/net/route").read_text().splitlines()[1:]]
        return [row[2] for row in rows if row[1] == "00000000" and row[7] == "00000000"]

    try:
        return netns.run(descriptor, look)
    finally:
        os.close(descriptor)


def test_a_machine_on_the_lan_reaches_the_container_by_its_own_mac(machine: int, tmp_path: Path) -> None:
    async def body() -> None:
        service = make(tmp_path, QuietNames())
        await service.start()
        await service.create(request("lan", parent="lan0", aux={"host": HOST, "machine": MACHINE}))
        await service.create(request("more", parent="lan0", subnet="198.51.100.0/24", gateway=""))
        one = await attach(service, 1, "lan")
        two = await attach(service, 2, "lan", "192.0.2.77")
        other = await attach(service, 3, "more")
        address = one.endpoints[0].ipv4
        assert address == "192.0.2.2"      # .1 is the host's by the auxiliary address
        servers = [serve(sandbox.netns, 80) for sandbox in (one, two, other)]
        try:
            assert ask_from(machine, address, 80) == MACHINE
            assert neighbour(machine, address) == one.endpoints[0].mac
            assert ask_from(one.netns, "192.0.2.77", 80) == address
            assert ask_from(one.netns, other.endpoints[0].ipv4, 80) == ""      # another subnet, the router is not there
            assert ask(address, 80) == ""      # the kernel keeps the host from its own children
            assert default_route(one.netns) == ["FE0200C0"]
            assert default_route(other.netns) == []
            with pytest.raises(Forbidden, match="Address already in use"):
                await attach(service, 4, "lan", "192.0.2.77")
        finally:
            for server in servers:
                stop(server)
        for number in (1, 2, 3):
            await service.detach(identifier(number))
        for name in ("lan", "more"):
            await service.remove(name)
        await service.stop()
        close(service)

    asyncio.run(body())


def test_host_access_survives_a_new_engine_and_goes_with_the_network(machine: int, tmp_path: Path) -> None:
    async def body() -> None:
        before = link_names_here()
        service = make(tmp_path, QuietNames())
        await service.start()
        await service.create(request("lan", parent="lan0", solva__host_access="true"))
        one = await attach(service, 1, "lan", "192.0.2.50")
        server = serve(one.netns, 80)
        try:
            assert ask("192.0.2.50", 80) == HOST
            assert ask_from(machine, "192.0.2.50", 80) == MACHINE
            await service.stop()
            close(service)
            service = make(tmp_path, QuietNames())
            await service.start()
            assert ask("192.0.2.50", 80) == HOST
            shim = next(name for name in link_names_here() if name.startswith("sh-"))
            await service._host.delete_links([shim])      # taken away underneath
            await service.repair()
            assert ask("192.0.2.50", 80) == HOST
        finally:
            stop(server)
        await service.detach(identifier(1))
        await service.remove("lan")
        assert not {name for name in link_names_here() - before if name.startswith("sh-")}
        await service.stop()
        close(service)

    asyncio.run(body())


def link_names_here() -> set[str]:
    here = Netlink()
    try:
        return link_names(here)
    finally:
        here.close()


def test_modes(machine: int, tmp_path: Path) -> None:
    async def body() -> None:
        service = make(tmp_path, QuietNames())
        await service.start()
        for mode in ("private", "vepa"):
            await service.create(request("lan", parent="lan0", macvlan_mode=mode))
            one, two = await attach(service, 1, "lan"), await attach(service, 2, "lan")
            server = serve(two.netns, 80)
            try:
                assert ask_from(machine, two.endpoints[0].ipv4, 80) == MACHINE
                assert ask_from(one.netns, two.endpoints[0].ipv4, 80) == ""      # the wire does not send back
            finally:
                stop(server)
            for number in (1, 2):
                await service.detach(identifier(number))
            await service.remove("lan")
        identifier_, _ = await service.create(request("alone", parent="lan0", macvlan_mode="passthru"))
        with pytest.raises(Exception, match=f"^macvlan network {identifier_} is already using parent interface lan0 in "
                                            "mode passthru$"):
            await service.create(request("second", parent="lan0", subnet="198.51.100.0/24", gateway=""))
        await service.remove("alone")
        await service.stop()
        close(service)

    asyncio.run(body())


def test_without_a_parent_containers_have_each_other_and_nobody_else(machine: int, tmp_path: Path) -> None:
    async def body() -> None:
        before = link_names_here()
        service = make(tmp_path, QuietNames())
        await service.start()
        await service.create(NetworkCreate(name="closed", driver="macvlan"))
        one, two = await attach(service, 1, "closed"), await attach(service, 2, "closed")
        server = serve(two.netns, 80)
        try:
            assert ask_from(one.netns, two.endpoints[0].ipv4, 80) == one.endpoints[0].ipv4
            assert default_route(one.netns) == []
            assert ask(two.endpoints[0].ipv4, 80) == ""
        finally:
            stop(server)
        for number in (1, 2):
            await service.detach(identifier(number))
        await service.remove("closed")
        assert {name for name in link_names_here() - before if name.startswith("d")} == set()
        await service.stop()
        close(service)

    asyncio.run(body())


def test_connect_and_disconnect_live(machine: int, tmp_path: Path) -> None:
    """A container on a bridge gets a place on the LAN as well, and loses it; the way out is the bridge's in between."""
    async def body() -> None:
        service = make(tmp_path, QuietNames())
        await service.start()
        await service.create(NetworkCreate(name="app"))
        await service.create(request("lan", parent="lan0"))
        one = await attach(service, 1, "app")
        bridge_route = default_route(one.netns)
        server = serve(one.netns, 80)
        try:
            after = await service.connect(identifier(1), EndpointConfig("lan", ipv4="192.0.2.60", gw_priority=1))
            assert [endpoint.ifname for endpoint in after.endpoints] == ["eth0", "eth1"]
            assert ask_from(machine, "192.0.2.60", 80) == MACHINE
            assert default_route(one.netns) == ["FE0200C0"]
            await service.disconnect(identifier(1), "lan")
            assert default_route(one.netns) == bridge_route
            assert inside_names(one.netns) == {"lo", "eth0"}
            assert ask_from(machine, "192.0.2.60", 80) == ""
        finally:
            stop(server)
        await service.detach(identifier(1))
        for name in ("app", "lan"):
            await service.remove(name)
        await service.stop()
        close(service)

    asyncio.run(body())


def test_what_the_kernel_lacks_is_named(machine: int, tmp_path: Path) -> None:
    async def body() -> None:
        service = make(tmp_path, QuietNames())
        await service.start()
        kernel = service._host.netlink
        lan0 = links.get_link(kernel, "lan0")
        assert lan0 is not None

        def has(kind: str, data: bytes) -> bool:
            try:
                kernel.execute([links.add_child(kind, "probe", parent=lan0.index, data=data)])
            except OSError:
                return False
            kernel.execute([links.delete_link("probe")])
            return True

        if not has("vlan", links.vlan_data(9)):
            with pytest.raises(SystemFailure, match=r"^failed to create lan0\.50 vlan link: operation not supported: "
                                                    "this kernel has no 802.1q VLANs"):
                await service.create(request("tagged", parent="lan0.50"))
        else:
            await service.create(request("tagged", parent="lan0.50"))
            assert "lan0.50" in link_names_here()
            await service.remove("tagged")
            assert "lan0.50" not in link_names_here()
        await service.create(request("ip", driver="ipvlan", parent="lan0"))
        with pytest.raises(Exception, match="an interface carries macvlan or ipvlan, not both"):
            await service.create(request("mac", parent="lan0", subnet="198.51.100.0/24", gateway=""))
        if not has("ipvlan", links.ipvlan_data("l2", "bridge")):
            with pytest.raises(SystemFailure, match=r"^failed to create the ipvlan port: operation not supported: this "
                                                    "kernel has no ipvlan"):
                await attach(service, 1, "ip")
            assert service.sandbox(identifier(1)) is None
        with pytest.raises(InvalidParameter, match=r"solva\.host_access needs macvlan_mode bridge"):
            await service.create(request("x", parent="lan0", macvlan_mode="vepa", solva__host_access="1"))
        _, warning = await service.create(request("y", driver="bridge", subnet="198.51.100.0/24", gateway="",
                                                  com__example="1"))
        assert warning == "driver bridge has no option com.example: it has no effect"
        for name in ("ip", "y"):
            await service.remove(name)
        await service.stop()
        close(service)

    asyncio.run(body())
