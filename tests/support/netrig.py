"""A host of its own for network tests: the test's thread is in a fresh network namespace, and nothing may be left."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from solva.clock import SystemClock
from solva.dns.state import SandboxNames
from solva.events.bus import EventBus
from solva.kernel import links, mount, netns, nft
from solva.kernel.netlink import Netlink
from solva.networks.service import NetworkService
from solva.store.sqlite import Store


@contextmanager
def fresh_host(run: Path) -> Iterator[Netlink]:
    """Yields a netlink socket of the namespace. Afterwards: no link of ours, no descriptor, no mount is left."""
    gc.collect()      # what earlier tests dropped must not be closed in the middle of this one
    before = len(os.listdir("/proc/self/fd"))
    home = netns.current()
    inside = netns.unshare()
    kernel = Netlink()
    kernel.execute([links.set_link(1, up=True)])
    try:
        yield kernel
    finally:
        names = {link.name for link in links.list_links(kernel)}
        rules = nft.Nft()
        rules.run("flush ruleset")      # of this test's own namespace
        rules.close()
        kernel.close()
        netns.enter(home)
        for descriptor in (home, inside):
            os.close(descriptor)
        left = [row.split()[4] for row in Path("/proc/self/mountinfo").read_text().splitlines()]
        left = [point for point in left if point.startswith(f"{run}/")]
        for point in left[::-1]:      # a test that failed in the middle keeps no folder busy
            mount.umount(point, mount.MNT_DETACH)
    assert not {name for name in names if name.startswith("veth")}, "links were left behind"
    assert len(os.listdir("/proc/self/fd")) <= before, "descriptors were left behind"
    assert not left, "mounts were left behind"


def link_names(kernel: Netlink) -> set[str]:
    """All links of the host."""
    return {link.name for link in links.list_links(kernel)}


def inside_names(path: str) -> set[str]:
    """All links of the namespace kept at a path."""
    descriptor = netns.open_pinned(path)

    def look() -> set[str]:
        there = Netlink()
        try:
            return link_names(there)
        finally:
            there.close()

    try:
        return netns.run(descriptor, look)
    finally:
        os.close(descriptor)


@contextmanager
def lan_machine(kernel: Netlink, host: str, address: str, link: str = "lan0") -> Iterator[int]:
    """Another machine at the other end of ``link``: a descriptor of its namespace. Its default route is the host."""
    peer = netns.create(lambda descriptor: descriptor)
    kernel.execute([links.add_veth(link, master=0, peer="eth0", peer_netns=peer, peer_mac="02:00:00:00:00:09")])
    here = links.get_link(kernel, link)
    assert here is not None
    if host:
        kernel.execute([links.add_address(here.index, host, 24)])

    def other() -> None:
        there = Netlink()
        eth0 = links.get_link(there, "eth0")
        assert eth0 is not None
        there.execute([links.set_link(1, up=True), links.add_address(eth0.index, address, 24),
                       links.set_link(eth0.index, up=True)])
        if host:
            there.execute([links.add_route("default", index=eth0.index, gateway=host)])
        there.close()

    netns.run(peer, other)
    try:
        yield peer
    finally:
        os.close(peer)


Question = tuple[str | int | None, str, int]
"""From a namespace (path, descriptor, None: the host) to an address and port."""


def ask_all(questions: Mapping[str, Question]) -> dict[str, str]:
    """``ask`` for each of them, side by side: what is not let through takes its whole time."""
    def one(question: Question) -> str:
        where, address, port = question
        return ask(address, port) if where is None else ask_from(where, address, port)

    with ThreadPoolExecutor(len(questions)) as pool:      # its threads are in the namespace of this one
        return dict(zip(questions, pool.map(one, questions.values()), strict=True))


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
    """The source address the other side saw, "" when it cannot be reached (a lost SYN is sent again after a second)."""
    try:
        with socket.create_connection((address, port), timeout=1.3) as connection:
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
