"""Machines for cluster tests: engines in namespaces of their own as hosts, a namespace that plays the switch between
them, and Debian's etcd on a machine of its own. Nothing of it touches the host's interfaces.

    host 1 ─┐
    host 2 ─┼─ switch (bridge lan0) ── store (etcd)
    host 3 ─┘
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from solva.kernel.setns import in_netns

from .engine import LiveEngine, missing, run

STORE = "10.203.0.1"
PORT = 2379


def missing_cluster() -> str:
    """Why no cluster can run here, or an empty string."""
    return missing() or ("" if shutil.which("etcd") else "etcd is not installed (tools/setup.sh tests)")


def until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> object:
    """The first true answer of ``condition``; asked again until then, since what is waited for has no event here."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


class Etcd:
    """The store's machine and its process."""

    def __init__(self, root: Path, netns: str) -> None:
        self._root, self._netns = root, netns
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        url = f"http://{STORE}:{PORT}"
        with (self._root / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self._netns, "etcd", "--data-dir", str(self._root / "etcd"),
                 "--listen-client-urls", url, "--advertise-client-urls", url,
                 "--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls",
                 "http://127.0.0.1:2380", "--initial-cluster", "default=http://127.0.0.1:2380",
                 "--heartbeat-interval", "50", "--election-timeout", "500"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until(self._healthy, "etcd answers")

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._root / "etcd.log").read_text()[-2000:]
        return b'"health":"true"' in self.http("GET", "/health")

    def http(self, method: str, path: str, body: bytes = b"") -> bytes:
        """One request from the store's own machine; b"" when nothing answers."""
        def ask() -> bytes:
            try:
                with socket.create_connection((STORE, PORT), 2) as sock:
                    sock.sendall(f"{method} {path} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                    data = b""
                    while part := sock.recv(65536):
                        data += part
                    return data.partition(b"\r\n\r\n")[2]
            except OSError:
                return b""

        return in_netns(f"/run/netns/{self._netns}", ask)

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so."""
        ends = [b64encode(text.encode()).decode() for text in (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))]
        answer = self.http("POST", "/v3/kv/range", json.dumps({"key": ends[0], "range_end": ends[1]}).encode())
        return [b64decode(row["key"]).decode() for row in json.loads(answer).get("kvs", ())]

    def stop(self) -> None:
        """As by ``kill -9``; its data stay."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def erase(self) -> None:
        """Its data are gone, too."""
        self.stop()
        shutil.rmtree(self._root / "etcd")


class Lab:
    """``engines``: started; host N (from 1) has the address 10.203.0.1N. Names begin with ``name``."""

    def __init__(self, root: Path, name: str, hosts: int, lease: int, mtu: int = 1500, more: str = "") -> None:
        self.root, self.name = root, name
        self._switch, self._store = f"{name}-sw", f"{name}-etcd"
        self._mtu = mtu
        self._more = more
        self.etcd = Etcd(root, self._store)
        self.engines = [LiveEngine(root / f"host{number}", f"{name}-{number}", config=self._config(number, lease))
                        for number in range(1, hosts + 1)]

    def _config(self, number: int, lease: int) -> str:
        return (f'[cluster]\nurl = "etcd://{STORE}:{PORT}"\nadvertise = "{self.address(number)}"\nlease = {lease}\n'
                f"{self._more}")

    @staticmethod
    def address(number: int) -> str:
        return f"10.203.0.{10 + number}"

    def build(self) -> None:
        """Namespaces and cables."""
        run("ip", "netns", "add", self._switch)
        run("ip", "-n", self._switch, "link", "add", "lan0", "type", "bridge")
        run("ip", "-n", self._switch, "link", "set", "lan0", "up")
        run("ip", "netns", "add", self._store)
        run("ip", "-n", self._store, "link", "set", "lo", "up")
        self._plug(self._store, "store", STORE)
        for number, engine in enumerate(self.engines, 1):
            engine.make_netns()
            self._plug(engine.name, f"host{number}", self.address(number))

    def _plug(self, netns: str, port: str, address: str) -> None:
        mtu = str(self._mtu)
        run("ip", "-n", self._switch, "link", "add", port, "mtu", mtu, "type", "veth", "peer", "name", "eth0",
            "mtu", mtu, "netns", netns)
        run("ip", "-n", self._switch, "link", "set", port, "master", "lan0", "up")
        run("ip", "-n", netns, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", netns, "link", "set", "eth0", "up")

    def cable(self, port: str, plugged: bool) -> None:
        """Pull a cable at the switch (``host1``, ``store``), or put it back."""
        run("ip", "-n", self._switch, "link", "set", port, "up" if plugged else "down")

    def wall(self, one: int, plugged: bool) -> None:
        """Between a host and the store only: the hosts reach each other still, or again."""
        table = ("add table bridge wall; delete table bridge wall;" if plugged else
                 "add table bridge wall; add chain bridge wall forward { type filter hook forward priority 0; };"
                 f'add rule bridge wall forward iifname "host{one}" oifname "store" drop;'
                 f'add rule bridge wall forward iifname "store" oifname "host{one}" drop')
        run("ip", "netns", "exec", self._switch, "nft", table)

    def close(self) -> None:
        for engine in self.engines:
            engine.close()
        self.etcd.stop()
        for netns in (self._switch, self._store):
            run("ip", "netns", "del", netns, check=False)


@contextmanager
def lab(root: Path, name: str, hosts: int = 2, lease: int = 4, *, start: bool = True, mtu: int = 1500,
        more: str = "") -> Iterator[Lab]:
    """A running cluster with busybox on every host; everything of it is gone afterwards. ``more``: lines of the table
    [cluster]."""
    made = Lab(root, name, hosts, lease, mtu, more)
    try:
        made.build()
        made.etcd.start()
        for engine in made.engines if start else ():
            engine.start()
            engine.load_busybox()
        yield made
    finally:
        made.close()


def agent_pid(engine: LiveEngine) -> int:
    """Of the living agent; 0 while there is none."""
    return int((engine.root / "run/cluster/agent.pid").read_text() or 0)


def kill_machine(engine: LiveEngine) -> None:
    """The power goes: engine, agent and name server at once. What the kernel holds stays until ``close``."""
    engine.kill()
    for pid in ("cluster/agent.pid", "dns/dns.pid"):
        os.kill(int((engine.root / "run" / pid).read_text().split()[0]), signal.SIGKILL)
