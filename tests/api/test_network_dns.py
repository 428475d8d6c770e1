"""Names on a live engine, asked from inside containers: what is answered here, what goes out, what outlives whom."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from dnslib import RCODE, RR, DNSRecord

from solva.client.transport import Transport
from solva.kernel.setns import in_netns
from support.engine import LiveEngine


class Outside:
    """A resolver in the engine's network namespace, at an address that containers reach; it answers everything."""

    def __init__(self, engine: LiveEngine) -> None:
        self.asked: list[str] = []

        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((engine.address, 53))
            return made

        self.socket = engine.inside(make)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data, asker = self.socket.recvfrom(4096)
            if not asker or not data:
                return
            question = DNSRecord.parse(data)
            self.asked.append(str(question.q.qname))
            reply = question.reply()
            reply.add_answer(*RR.fromZone(f"{question.q.qname} 30 A 192.0.2.53"))
            self.socket.sendto(reply.pack(), asker)

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def ask(engine: LiveEngine, container: str, name: str, kind: str = "A", within: float = 15) -> DNSRecord:
    """From inside, at 127.0.0.11:53; asked again when nothing comes, as resolvers do."""
    path = engine.api.json("GET", f"/containers/{container}/json")["NetworkSettings"]["SandboxKey"]
    deadline = time.monotonic() + within
    while True:
        with in_netns(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
            asking.settimeout(1)
            asking.connect(("127.0.0.11", 53))
            try:
                asking.send(DNSRecord.question(name, kind).pack())
                return DNSRecord.parse(asking.recv(4096))
            except OSError:
                if time.monotonic() > deadline:
                    raise


def answers(engine: LiveEngine, container: str, name: str, kind: str = "A") -> list[str]:
    found = ask(engine, container, name, kind)
    assert found.header.rcode == RCODE.NOERROR, found
    return sorted(str(record.rdata) for record in found.rr)


def address(engine: LiveEngine, container: str, network: str) -> str:
    networks = engine.api.json("GET", f"/containers/{container}/json")["NetworkSettings"]["Networks"]
    return str(networks[network]["IPAddress"])


@pytest.fixture(scope="module")
def town(engine: LiveEngine) -> Iterator[tuple[LiveEngine, Outside]]:
    outside = Outside(engine)
    engine.cli("network", "create", "dns-app")
    engine.cli("network", "create", "--internal", "dns-int")
    run = ("run", "-d", "--dns", engine.address)
    engine.cli(*run, "--name", "dns-a", "--network", "dns-app", "--network-alias", "web", "busybox", "sleep", "1000")
    engine.cli(*run, "--name", "dns-b", "--hostname", "Beta", "--network", "dns-app", "--network-alias", "web",
               "busybox", "sleep", "1000")
    engine.cli(*run, "--name", "dns-nd", "--dns-option", "ndots:2", "--network", "dns-app", "busybox", "sleep", "1000")
    engine.cli("run", "-d", "--name", "dns-in", "--network", "dns-int", "busybox", "sleep", "1000")
    yield engine, outside
    engine.cli("rm", "-f", "dns-a", "dns-b", "dns-nd", "dns-in")
    engine.cli("network", "rm", "dns-app", "dns-int")
    outside.close()


def test_names_of_a_network(town: tuple[LiveEngine, Outside]) -> None:
    engine, outside = town
    a, b = (address(engine, name, "dns-app") for name in ("dns-a", "dns-b"))
    short = engine.api.json("GET", "/containers/dns-b/json")["Id"][:12]
    for name in ("dns-b", "DNS-B", "dns-b.dns-app", "beta", short, f"{short}.dns-app"):
        assert answers(engine, "dns-a", name) == [b], name
    assert answers(engine, "dns-a", "web") == answers(engine, "dns-a", "tasks.web") == sorted([a, b])
    assert answers(engine, "dns-a", "dns-b", "AAAA") == answers(engine, "dns-a", "dns-b", "MX") == []
    back = ".".join(reversed(b.split("."))) + ".in-addr.arpa"
    assert answers(engine, "dns-a", back, "PTR") == ["dns-b.dns-app."]
    assert ask(engine, "dns-a", "dns-b").rr[0].ttl == 600
    assert not outside.asked


def test_what_goes_out(town: tuple[LiveEngine, Outside]) -> None:
    engine, outside = town
    outside.asked.clear()
    assert answers(engine, "dns-a", "www.example.com") == ["192.0.2.53"]
    assert answers(engine, "dns-nd", "intranet") == []
    assert answers(engine, "dns-nd", "intranet.example") == ["192.0.2.53"]
    assert outside.asked == ["www.example.com.", "intranet.example."]
    assert RCODE[ask(engine, "dns-in", "www.example.com").header.rcode] == "SERVFAIL"


def test_connect_and_disconnect_carry_the_names(town: tuple[LiveEngine, Outside]) -> None:
    engine, _ = town
    engine.cli("network", "connect", "--alias", "late", "dns-int", "dns-b")
    assert answers(engine, "dns-in", "late") == [address(engine, "dns-b", "dns-int")]
    engine.cli("network", "disconnect", "dns-int", "dns-b")
    assert RCODE[ask(engine, "dns-in", "late").header.rcode] == "SERVFAIL"


def test_the_query_log_by_the_command(town: tuple[LiveEngine, Outside]) -> None:
    engine, _ = town
    assert "Query log:  off" in engine.cli("network", "dns").stdout
    assert "Query log:  on" in engine.cli("network", "dns", "--log", "on").stdout
    try:
        answers(engine, "dns-a", "dns-b")
        answers(engine, "dns-a", "www.example.com")
        shown = engine.cli("network", "dns", "--tail", "2").stdout.splitlines()
        assert "dns-a: A dns-b: rcode 0, 1 records, here" in shown[0]
        assert f"dns-a: A www.example.com: rcode 0, 1 records, {engine.address}:53" in shown[1]
    finally:
        assert "Query log:  off" in engine.cli("network", "dns", "--log", "off").stdout
    assert "off" in engine.cli("network", "dns", "--log", "maybe", check=False).stderr


def test_names_outlive_the_engine_and_the_name_server_comes_back(own_engine: LiveEngine) -> None:
    own_engine.cli("network", "create", "dns-own")
    for name in ("dns-x", "dns-y"):
        own_engine.cli("run", "-d", "--name", name, "--network", "dns-own", "busybox", "sleep", "1000")
    path = own_engine.api.json("GET", "/containers/dns-x/json")["NetworkSettings"]["SandboxKey"]
    expected = [address(own_engine, "dns-y", "dns-own")]

    def resolve() -> list[str]:
        with in_netns(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
            asking.settimeout(10)
            asking.connect(("127.0.0.11", 53))
            asking.send(DNSRecord.question("dns-y").pack())
            return [str(record.rdata) for record in DNSRecord.parse(asking.recv(4096)).rr]

    own_engine.kill()
    assert resolve() == expected
    own_engine.start()
    assert resolve() == expected
    server = int((Path(own_engine.root) / "run" / "dns" / "dns.pid").read_text())
    os.kill(server, signal.SIGKILL)
    assert answers(own_engine, "dns-x", "dns-y") == expected
    assert f"Process:    {server}" not in own_engine.cli("network", "dns").stdout


QUESTIONS = (("{b}", "A"), ("web", "A"), ("{short}", "A"), ("betahost", "A"), ("{b}.{net}", "A"), ("web.{net}", "A"),
             ("{b}", "AAAA"), ("{b}.{net}", "AAAA"), ("{b}", "MX"), ("{back}", "PTR"),
             ("{B}", "A"), ("other", "A"), ("other", "AAAA"))


@pytest.mark.peer
def test_docker_answers_the_same(engine: LiveEngine, peer_socket: str) -> None:
    """The same questions to both; where ours differ on purpose (docs/compatibility.md) nothing is asked."""
    found = {}
    for side, host in (("solva", f"unix://{engine.socket}"), ("docker", peer_socket)):
        net, first, second = (f"dnspeer-{os.getpid()}-{part}" for part in ("n", "a", "b"))
        cli = partial(engine.cli, "-H", host)
        api = Transport(host)
        try:
            cli("network", "create", net)
            cli("run", "-d", "--name", second, "--hostname", "betahost", "--network", net, "--network-alias", "web",
                "busybox", "sleep", "100")
            cli("run", "-d", "--name", first, "--network", net, "--link", f"{second}:other", "busybox", "sleep", "100")
            inside = api.json("GET", f"/containers/{second}/json")
            ip = inside["NetworkSettings"]["Networks"][net]["IPAddress"]
            words = {"b": second, "B": second.upper(), "net": net, "short": inside["Id"][:12],
                     "back": ".".join(reversed(ip.split("."))) + ".in-addr.arpa"}
            pid = api.json("GET", f"/containers/{first}/json")["State"]["Pid"]
            found[side] = [_plain(pid, text.format(**words), kind, {ip: "B", words["short"]: "short"})
                           for text, kind in QUESTIONS]
        finally:
            cli("rm", "-f", first, second, check=False)
            cli("network", "rm", net, check=False)
    for question, ours, theirs in zip(QUESTIONS, found["solva"], found["docker"], strict=True):
        assert ours == theirs, question


def _plain(pid: int, name: str, kind: str, names: dict[str, str]) -> tuple[str, list[str], list[int]]:
    with in_netns(f"/proc/{pid}/ns/net", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        asking.settimeout(15)
        asking.connect(("127.0.0.11", 53))
        asking.send(DNSRecord.question(name, kind).pack())
        answer = DNSRecord.parse(asking.recv(4096))
    return (str(RCODE[answer.header.rcode]), sorted(names.get(str(row.rdata), str(row.rdata)) for row in answer.rr),
            [row.ttl for row in answer.rr])
