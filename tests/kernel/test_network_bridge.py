"""Options of bridge networks, seen by packets: a host, a machine on its LAN, containers on networks of each kind."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from solva.api.types.network import Ipam, IpamPool, NetworkCreate
from solva.errors import Conflict, InvalidParameter, SystemFailure
from solva.kernel import links, netns, sysctl
from solva.kernel.netlink import Netlink
from solva.networks.model import EndpointConfig, PortMapping, Sandbox, SandboxConfig
from solva.networks.service import NetworkService
from support.netrig import (
    QuietNames,
    ask,
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
HOST, MACHINE, HOST6, MACHINE6 = "192.0.2.1", "192.0.2.9", "2001:db8::1", "2001:db8::9"
BRIDGE = "com.docker.network.bridge."


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[int]:
    with fresh_host(tmp_path) as kernel, lan_machine(kernel, HOST, MACHINE) as peer:
        lan0 = links.get_link(kernel, "lan0")
        assert lan0 is not None
        kernel.execute([links.add_address(lan0.index, HOST6, 64)])

        def other() -> None:
            there = Netlink()
            eth0 = links.get_link(there, "eth0")
            assert eth0 is not None
            there.execute([links.add_address(eth0.index, MACHINE6, 64),
                           links.add_route("default", index=eth0.index, gateway=HOST6, version=6)])
            there.close()

        netns.run(peer, other)
        yield peer


def run(tmp_path: Path, body: Any) -> None:
    """A service around ``body(service)``; every sandbox and network of it is removed."""
    async def whole() -> None:
        service = make(tmp_path, QuietNames())
        await service.start()
        try:
            await body(service)
        finally:
            for sandbox in service._sandboxes.all():
                await service.detach(sandbox.id)
            for row in service.list({}):
                if row["Name"] not in ("bridge", "host", "none"):
                    await service.remove(row["Id"])
            await service.stop()
            close(service)

    asyncio.run(whole())


async def attach(service: NetworkService, number: int, *networks: str, ports: tuple[PortMapping, ...] = (),
                 **endpoint: Any) -> Sandbox:
    return await service.attach(SandboxConfig(
        id=identifier(number), name=f"c{number}", ports=ports,
        endpoints=tuple(EndpointConfig(network, **endpoint) for network in networks)))


def serve6(path: str, port: int) -> socket.socket:
    """As ``serve``, on both IP versions."""
    descriptor = netns.open_pinned(path)

    def listen() -> socket.socket:
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

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


def test_gateway_modes(machine: int, tmp_path: Path) -> None:
    """From the LAN to a container's own address, and the source address of what it sends there itself."""
    async def body(service: NetworkService) -> None:
        want = {"nat": (False, HOST), "nat-unprotected": (True, HOST), "routed": (False, "own")}
        lan = serve_at(machine, 7000)
        servers, questions, expected = [lan], {}, {}
        for number, (mode, (unpublished, source)) in enumerate(want.items(), 1):
            await service.create(NetworkCreate(name=mode, options={BRIDGE + "gateway_mode_ipv4": mode}))
            sandbox = await attach(service, number, mode, ports=(PortMapping(80, host_port=39080 + number),))
            address = sandbox.endpoints[0].ipv4
            servers += [serve(sandbox.netns, port) for port in (80, 81)]
            for what, question, seen in (
                    ("unpublished", (machine, address, 81), MACHINE if unpublished else ""),
                    ("its address", (machine, address, 80), MACHINE if mode != "nat" else ""),
                    ("published", (machine, HOST, 39080 + number), MACHINE if mode != "routed" else ""),
                    ("out", (sandbox.netns, MACHINE, 7000), address if source == "own" else source)):
                questions[f"{mode}: {what}"], expected[f"{mode}: {what}"] = question, seen
            assert [port.host_port for port in sandbox.ports if ":" not in port.host_ip] == [
                0 if mode == "routed" else 39080 + number], mode
            ping = ["nsenter", f"--net=/proc/self/fd/{machine}", "busybox", "ping", "-c", "1", "-W", "2", address]
            if mode == "routed":
                done = await asyncio.to_thread(subprocess.run, ping, capture_output=True, check=False,
                                               pass_fds=(machine,))
                assert done.returncode == 0
        try:
            assert ask_all(questions) == expected
        finally:
            for server in servers:
                stop(server)
        await service.create(NetworkCreate(name="isolated", internal=True,
                                           options={BRIDGE + "gateway_mode_ipv4": "isolated"}))
        one, two = await attach(service, 11, "isolated"), await attach(service, 12, "isolated")
        server = serve(two.netns, 80)
        try:
            assert ask_from(one.netns, two.endpoints[0].ipv4, 80)
            assert ask(two.endpoints[0].ipv4, 80) == ""      # the bridge has no address
        finally:
            stop(server)

    run(tmp_path, body)


def serve_at(descriptor: int, port: int) -> socket.socket:
    """As ``serve``, in the namespace of an open descriptor."""
    path = f"/proc/self/fd/{descriptor}"
    return serve(path, port)


def test_between_containers(machine: int, tmp_path: Path) -> None:
    async def body(service: NetworkService) -> None:
        await service.create(NetworkCreate(name="apart", options={BRIDGE + "enable_icc": "false"}))
        await service.create(NetworkCreate(name="inner", internal=True))
        lan = serve_at(machine, 7000)
        for network, between, out in (("apart", False, True), ("inner", True, False)):
            one, two = await attach(service, 1, network), await attach(service, 2, network)
            server = serve(two.netns, 80)
            try:
                seen = ask_all({"between": (one.netns, two.endpoints[0].ipv4, 80), "out": (one.netns, MACHINE, 7000),
                                "host": (None, two.endpoints[0].ipv4, 80)})
                assert {what: bool(answer) for what, answer in seen.items()} == {
                    "between": between, "out": out, "host": True}, network
            finally:
                stop(server)
            for number in (1, 2):
                await service.detach(identifier(number))
        stop(lan)

    run(tmp_path, body)


def test_links_where_containers_are_kept_apart(machine: int, tmp_path: Path) -> None:
    """Of a linked container the exposed ports are reached, and by its partner alone; with its next address, too."""
    async def body(service: NetworkService) -> None:
        for name, options in (("apart", {}), ("open", {BRIDGE + "gateway_mode_ipv4": "nat-unprotected"}),
                              ("inner", {})):
            await service.create(NetworkCreate(name=name, internal=name == "inner",
                                               options={BRIDGE + "enable_icc": "false"} | options))
            async def target(network: str = name) -> tuple[Sandbox, list[socket.socket]]:
                there = await service.attach(SandboxConfig(id=identifier(1), name="c1", exposed=((80, "tcp"),),
                                                           endpoints=(EndpointConfig(network),)))
                return there, [serve(there.netns, port) for port in (80, 81)]

            db, servers = await target()
            linked = await attach(service, 2, name, links=("c1:db",))
            other = await attach(service, 3, name)
            for _ in range(2 if name == "apart" else 1):
                address = db.endpoints[0].ipv4
                assert ask_all({"linked": (linked.netns, address, 80), "not exposed": (linked.netns, address, 81),
                                "other": (other.netns, address, 80)}) == {
                    "linked": linked.endpoints[0].ipv4, "not exposed": "", "other": ""}, name
                for server in servers:
                    stop(server)
                await service.detach(identifier(1))
                db, servers = await target()
            for server in servers:
                stop(server)
            assert str(service._firewall).count(f". {db.endpoints[0].ipv4} . tcp . 80") == 1
            for number in (1, 2, 3):
                await service.detach(identifier(number))
            assert "saddr . tcp" not in str(service._firewall)

    run(tmp_path, body)


def test_names_sizes_and_source(machine: int, tmp_path: Path) -> None:
    async def body(service: NetworkService) -> None:
        kernel = service._host.netlink
        lan0 = links.get_link(kernel, "lan0")
        assert lan0 is not None
        kernel.execute([links.add_address(lan0.index, "192.0.2.33", 24)])
        await service.create(NetworkCreate(name="named", options={
            BRIDGE + "name": "br-mine", "com.docker.network.driver.mtu": "1280",
            "com.docker.network.container_iface_prefix": "net", "com.docker.network.host_ipv4": "192.0.2.33",
            BRIDGE + "host_binding_ipv4": HOST}))
        sandbox = await attach(service, 1, "named", ports=(PortMapping(80, host_port=39080),))
        lan, server = serve_at(machine, 7000), serve(sandbox.netns, 80)
        try:
            assert sandbox.endpoints[0].ifname == "net0"
            bridge = links.get_link(kernel, "br-mine")
            assert bridge is not None
            assert bridge.mtu == 1280
            assert ask_from(sandbox.netns, MACHINE, 7000) == "192.0.2.33"
            assert [port.host_ip for port in sandbox.ports] == [HOST]
            assert ask(HOST, 39080)
            assert ask("192.0.2.33", 39080) == ""
        finally:
            stop(lan)
            stop(server)
        kernel.execute([links.add_bridge("theirs")])
        await service.create(NetworkCreate(name="adopted", options={BRIDGE + "name": "theirs"}))
        one, two = await attach(service, 2, "adopted"), await attach(service, 3, "adopted")
        server = serve(two.netns, 80)
        try:
            assert ask_from(one.netns, two.endpoints[0].ipv4, 80)
        finally:
            stop(server)
        for number in (2, 3):
            await service.detach(identifier(number))
        await service.remove("adopted")
        assert links.get_link(kernel, "theirs") is not None      # it was there before
        await service.create(NetworkCreate(name="bare", options={BRIDGE + "inhibit_ipv4": "true"},
                                           ipam=Ipam(config=[IpamPool("10.44.0.0/24", "", "10.44.0.200")])))
        inner = await attach(service, 4, "bare")
        assert inner.endpoints[0].gateway4 == "10.44.0.200"      # somebody else's, on the same bridge
        assert "10.44.0.200" not in {row.address for row in links.list_addresses(kernel)}
        await service.create(NetworkCreate(name="trusting", options={BRIDGE + "trusted_host_interfaces": "lan0"}))
        open_ = await attach(service, 5, "trusting")
        server = serve(open_.netns, 81)
        try:
            assert ask_from(machine, open_.endpoints[0].ipv4, 81) == MACHINE
        finally:
            stop(server)

    run(tmp_path, body)


def test_ipv6(machine: int, tmp_path: Path) -> None:
    async def body(service: NetworkService) -> None:
        await service.create(NetworkCreate(name="both", enable_ipv6=True))
        await service.create(NetworkCreate(name="six", enable_ipv4=False, enable_ipv6=True))
        both, six = await attach(service, 1, "both", ports=(PortMapping(80, host_port=39080),)), \
            await attach(service, 2, "six", ports=(PortMapping(80, host_port=39081),))
        assert both.endpoints[0].ipv6.startswith("fd")
        assert both.endpoints[0].ipv4
        assert six.endpoints[0].ipv4 == ""
        assert six.endpoints[0].ipv6.startswith("fd")
        servers = [serve6(both.netns, 80), serve6(six.netns, 80)]
        descriptor = os.dup(machine)
        lan = serve6(f"/proc/self/fd/{descriptor}", 7000)
        try:
            for _ in range(100):      # the kernel's own link-local addresses are tentative for a second or two
                if ask_from(machine, HOST6, 39080):
                    break
                await asyncio.sleep(0.05)
            for sandbox, port in ((both, 39080), (six, 39081)):
                assert ask_from(machine, HOST6, port) == MACHINE6      # the source address is kept
                assert ask_from(machine, sandbox.endpoints[0].ipv6, 80) == ""
                assert ask_from(sandbox.netns, MACHINE6, 7000) == HOST6      # NAT66
                for _ in range(200):      # the relay comes behind the answer
                    if ask("::1", port):
                        break
                    await asyncio.sleep(0.05)
                assert ask("::1", port)
            assert ask_from(machine, HOST, 39080).endswith(MACHINE)
        finally:
            for server in (*servers, lan):
                stop(server)
            os.close(descriptor)

    run(tmp_path, body)


def test_publishing(machine: int, tmp_path: Path) -> None:
    async def body(service: NetworkService) -> None:
        await service.create(NetworkCreate(name="app"))
        first = await attach(service, 1, "app", ports=(PortMapping(80, host_port=39100, host_port_end=39102),
                                                       PortMapping(81), PortMapping(82, host_ip=HOST, host_port=39110)))
        second = await attach(service, 2, "app", ports=(PortMapping(80, host_port=39100, host_port_end=39102),))
        rows = {(port.container_port, port.host_ip): port.host_port for port in first.ports}
        assert rows[80, "0.0.0.0"] == rows[80, "::"] == 39100      # one port for both families
        assert {port.host_port for port in second.ports} == {39101}      # the first free of the range
        low, high = (int(part) for part in sysctl.read("ipv4/ip_local_port_range").split())
        assert low <= rows[81, "0.0.0.0"] <= high
        assert rows[81, "0.0.0.0"] == rows[81, "::"]
        assert (82, "0.0.0.0") not in rows
        servers = [serve(first.netns, port) for port in (80, 81, 82)]
        try:
            assert ask_from(machine, HOST, rows[81, "0.0.0.0"]) == MACHINE
            assert ask(HOST, 39110)
            assert ask("127.0.0.1", 39110) == ""
            assert ask_from(first.netns, HOST, 39100)      # its own published port
        finally:
            for server in servers:
                stop(server)
        await attach(service, 3, "app", ports=(PortMapping(80, host_port=39102, host_port_end=39102),))
        with pytest.raises(SystemFailure, match="port is already allocated"):
            await attach(service, 4, "app", ports=(PortMapping(80, host_port=39100, host_port_end=39102),))
        assert service.sandbox(identifier(4)) is None

    run(tmp_path, body)


def test_udp_follows_a_new_container_at_once(machine: int, tmp_path: Path) -> None:
    """An asker that never stops would keep the old translation alive for ever."""
    async def body(service: NetworkService) -> None:
        await service.create(NetworkCreate(name="app"))
        asker = netns.run(machine, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        asker.connect((HOST, 39053))
        asker.settimeout(2)
        for number in (1, 2):
            sandbox = await attach(service, number, "app", ports=(PortMapping(53, "udp", HOST, 39053),))
            await service._sandboxes.settle()      # entries of before are forgotten behind the answer
            descriptor = netns.open_pinned(sandbox.netns)
            answerer = netns.run(descriptor, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            os.close(descriptor)
            answerer.bind(("0.0.0.0", 53))
            answerer.settimeout(2)
            asker.send(b"q")
            data, source = answerer.recvfrom(10)
            assert (data, source[0]) == (b"q", MACHINE)
            answerer.sendto(b"a", source)
            assert asker.recv(10) == b"a"
            answerer.close()
            await service.detach(identifier(number))
        asker.close()

    run(tmp_path, body)


def test_links_of_the_default_bridge(machine: int, tmp_path: Path) -> None:
    async def body(service: NetworkService) -> None:
        target = await attach(service, 1, "bridge")
        with pytest.raises(Conflict, match="Cannot link to a non running container: /nosuch AS /c2/x"):
            await attach(service, 2, "bridge", links=("nosuch:x",))
        sandbox = await attach(service, 2, "bridge", links=("c1:db",))
        line = f"{target.endpoints[0].ipv4}\tdb {target.id[:12]} c1"
        assert line in Path(sandbox.hosts_path).read_text().splitlines()
        await service.detach(identifier(1))
        again = await attach(service, 1, "bridge")      # with another address: the file follows
        assert again.endpoints[0].ipv4 != target.endpoints[0].ipv4
        lines = Path(sandbox.hosts_path).read_text().splitlines()
        assert f"{again.endpoints[0].ipv4}\tdb {target.id[:12]} c1" in lines
        assert line not in lines

    run(tmp_path, body)


def test_ports_and_route_follow_live_changes(machine: int, tmp_path: Path) -> None:
    """Published on nothing at first: an internal network leads nowhere. Each connection then moves what there is."""
    async def body(service: NetworkService) -> None:
        await service.create(NetworkCreate(name="inner", internal=True))
        for name in ("app", "web"):
            await service.create(NetworkCreate(name=name))
        sandbox = await attach(service, 1, "inner", ports=(PortMapping(80, host_port=39080),))
        server = serve(sandbox.netns, 80)
        try:
            assert sandbox.ports == ()
            assert ask_from(machine, HOST, 39080) == ""
            after = await service.connect(identifier(1), EndpointConfig("web"))
            assert {port.host_port for port in after.ports} == {39080}
            assert ask_from(machine, HOST, 39080) == MACHINE
            await service.connect(identifier(1), EndpointConfig("app"))      # before "web" by name
            assert ask_from(machine, HOST, 39080) == MACHINE
            await service.disconnect(identifier(1), "app")
            assert ask_from(machine, HOST, 39080) == MACHINE
            after = await service.disconnect(identifier(1), "web")
            assert after.ports == ()
            assert ask_from(machine, HOST, 39080) == ""
            taker = socket.create_server(("0.0.0.0", 39080))      # nobody holds it any more
            taker.close()
        finally:
            stop(server)

    run(tmp_path, body)


def test_pools(machine: int, tmp_path: Path) -> None:
    async def body(service: NetworkService) -> None:
        def subnets(name: str) -> list[str]:
            return [pool.subnet for pool in service.get(name).pools]

        await service.create(NetworkCreate(name="sized", ipam=Ipam(config=[IpamPool("0.0.0.0/28")])))
        assert subnets("sized")[0].endswith("/28")
        await service.create(NetworkCreate(name="also", ipam=Ipam(config=[IpamPool("/24")])))
        assert subnets("also")[0].endswith("/24")
        await service.create(NetworkCreate(name="six", enable_ipv6=True, ipam=Ipam(config=[IpamPool("::/80")])))
        assert any(subnet.startswith("fd") and subnet.endswith("/80") for subnet in subnets("six"))
        await service.create(NetworkCreate(name="dhcp", ipam=Ipam(driver="null")))
        sandbox = await attach(service, 1, "dhcp")
        assert (sandbox.endpoints[0].ipv4, sandbox.endpoints[0].ipv6) == ("", "")
        said = ""
        for number in range(40):
            try:
                await service.create(NetworkCreate(name=f"z{number}"))
            except InvalidParameter as error:
                said = str(error)
        assert said.startswith("all predefined address pools have been fully subnetted; networks without a running "
                               "container: also, ")
        assert "dhcp" not in said

    run(tmp_path, body)
