"""[::1] and IPv6 addresses of the host lead to a container without IPv6, by the relay, which outlives the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from solva.kernel import links, netns
from solva.kernel.netlink import Netlink
from solva.networks.model import EndpointConfig, PortMapping, SandboxConfig
from support.netrig import QuietNames, ask, close, fresh_host, identifier, lan_machine, make, serve, stop

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
HOST6 = "2001:db8::1"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Netlink]:
    with fresh_host(tmp_path) as kernel, lan_machine(kernel, "192.0.2.1", "192.0.2.9"):
        lan0 = links.get_link(kernel, "lan0")
        assert lan0 is not None
        kernel.execute([links.add_address(lan0.index, HOST6, 64)])
        yield kernel


async def until(condition: Callable[[], object]) -> None:
    """A condition comes true by another process's doing."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")


def relay_pid(tmp_path: Path) -> int:
    """The process behind the control socket, 0 when there is none."""
    talk = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        talk.connect(str(tmp_path / "run" / "relay.sock"))
        return int.from_bytes(talk.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")
    except OSError:
        return 0
    finally:
        talk.close()


def echo_udp(path: str, port: int) -> socket.socket:
    """Send back every datagram inside a namespace."""
    descriptor = netns.open_pinned(path)

    def bind() -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind(("0.0.0.0", port))
        return found

    server = netns.run(descriptor, bind)
    os.close(descriptor)

    def loop() -> None:
        while True:
            data, client = server.recvfrom(2000)
            if not data:
                server.close()
                return
            server.sendto(b"re " + data, client)

    threading.Thread(target=loop, daemon=True).start()
    return server


def ask_udp(address: str, port: int, text: bytes) -> bytes:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.7)
        asker.connect((address, port))
        try:
            asker.send(text)
            return asker.recv(2000) if text else b""
        except OSError:
            return b""


def stream(address: str, port: int, size: int) -> int:
    """How many bytes come back after ``size`` were sent and the sending side was shut."""
    got = 0
    with socket.create_connection((address, port), 10) as connection:
        def send() -> None:
            connection.sendall(b"x" * size)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        while part := connection.recv(1 << 16):
            got += len(part)
        sender.join()
    return got


def mirror(path: str, port: int) -> socket.socket:
    """Send back all that comes over one connection after another, until its end."""
    descriptor = netns.open_pinned(path)
    server = netns.run(descriptor, lambda: socket.create_server(("0.0.0.0", port)))
    os.close(descriptor)

    def loop() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                while part := connection.recv(1 << 16):
                    connection.sendall(part)

    threading.Thread(target=loop, daemon=True).start()
    return server


def test_the_relay(host: Netlink, tmp_path: Path) -> None:
    async def body() -> None:
        names = QuietNames()
        service = make(tmp_path, names)
        await service.start()
        assert relay_pid(tmp_path) == 0      # nothing is published
        web = await service.attach(SandboxConfig(
            id=identifier(1), name="web", endpoints=(EndpointConfig("bridge"),),
            ports=(PortMapping(80, host_port=39080), PortMapping(81, host_port=39081),
                   PortMapping(53, "udp", host_port=39053), PortMapping(80, host_ip="127.0.0.1", host_port=39082))))
        servers = [serve(web.netns, 80), mirror(web.netns, 81)]
        udp = echo_udp(web.netns, 53)
        call = asyncio.to_thread
        try:
            await until(lambda: ask("::1", 39080))
            assert ask(HOST6, 39080)
            assert ask("127.0.0.1", 39080)
            assert ask("::1", 39082) == ""      # published on 127.0.0.1 alone
            assert await call(stream, "::1", 39081, 5_000_000) == 5_000_000
            assert await call(ask_udp, "::1", 39053, b"one") == b"re one"
            assert await call(ask_udp, HOST6, 39053, b"two") == b"re two"
            pid = relay_pid(tmp_path)
            os.kill(pid, signal.SIGKILL)      # it dies: another one comes
            await until(lambda: relay_pid(tmp_path) not in (0, pid) and ask("::1", 39080))
            await service.stop()      # the engine goes
            close(service)
            assert ask("::1", 39080)
            service = make(tmp_path, names)
            await service.start()
            assert ask("::1", 39080)
            assert service.sandbox(identifier(1)) == web
            after = await service.attach(SandboxConfig(id=identifier(2), name="two", ports=(PortMapping(80),)))
            await service.detach(identifier(1))
            again = await service.attach(SandboxConfig(id=identifier(1), name="web",
                                                       ports=(PortMapping(80, host_port=39080),)))      # free at once
            assert {port.host_port for port in again.ports} == {39080}
            assert after.ports[0].host_port != 39080
            assert ask("::1", 39081) == ""
        finally:
            for server in servers:
                stop(server)
            await call(ask_udp, web.endpoints[0].ipv4, 53, b"")
            udp.close()
        for number in (1, 2):
            await service.detach(identifier(number))
        await until(lambda: not (tmp_path / "run" / "relay.sock").exists())      # nothing to carry: it has ended
        await service.stop()
        close(service)

    asyncio.run(body())
