"""What an overlay network over two machines does: held against engines of ours, and against dockerds in a Swarm.

A subclass named Test… gives the fixture ``machines``. Both are spoken to by Solva's command line.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from solva.kernel.setns import in_netns
from support.cluster import until
from support.engine import LiveEngine

Machines = list[LiveEngine]


def clear(engine: LiveEngine) -> None:
    ids = engine.cli("ps", "-aq").stdout.split()
    if ids:
        engine.cli("rm", "-f", *ids)


def networks(engine: LiveEngine) -> list[str]:
    return engine.cli("network", "ls", "--format", "{{.Name}}").stdout.split()


def sleeper(engine: LiveEngine, net: str, name: str, *options: str, check: bool = True) -> Any:
    return engine.cli("run", "-d", "--name", name, "--network", net, *options, "busybox", "sleep", "1000", check=check)


def inspect(engine: LiveEngine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.cli("inspect", name).stdout)[0]
    return found


def place(engine: LiveEngine, name: str, net: str) -> dict[str, Any]:
    found: dict[str, Any] = inspect(engine, name)["NetworkSettings"]["Networks"][net]
    return found


def ping(engine: LiveEngine, name: str, target: str, check: bool = True) -> bool:
    done = engine.cli("exec", name, "ping", "-c", "1", "-W", "2", target, check=check)
    return done.returncode == 0


def lookup(engine: LiveEngine, name: str, question: str) -> set[str]:
    text = engine.cli("exec", name, "nslookup", question, check=False).stdout
    rows = text.partition("Name:")[2]
    return {line.split()[-1] for line in rows.splitlines() if line.startswith("Address")}


def inside(engine: LiveEngine, name: str, action: Callable[[], socket.socket]) -> socket.socket:
    """Run in the container's network namespace."""
    return in_netns(f"/proc/{inspect(engine, name)['State']['Pid']}/ns/net", action)


class OverlaySuite:
    scope = "global"
    busy = "has active endpoints"

    @pytest.fixture
    def machines(self) -> Machines:
        raise NotImplementedError

    @pytest.fixture
    def net(self, machines: Machines) -> Iterator[str]:
        name = f"ov{time.monotonic_ns() % 1_000_000}"
        machines[0].cli("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.99.0.0/24", name)
        until(lambda: all(name in networks(engine) for engine in machines), "the network is everywhere")
        yield name
        for engine in machines:
            clear(engine)
        until(lambda: machines[1].cli("network", "rm", name, check=False).returncode == 0, "nobody uses it any more")
        until(lambda: not any(name in networks(engine) for engine in machines), "the network is gone everywhere")

    def test_names_addresses_and_packets(self, machines: Machines, net: str) -> None:
        one, two = machines
        shown = json.loads(two.cli("network", "inspect", net).stdout)[0]
        assert (shown["Scope"], shown["Driver"], shown["Attachable"]) == (self.scope, "overlay", True)
        assert shown["Options"]["com.docker.network.driver.overlay.vxlanid_list"].isdigit()
        sleeper(one, net, "aa", "--network-alias", "both", "--hostname", "host-aa")
        sleeper(two, net, "bb", "--network-alias", "both")
        assert until(lambda: ping(one, "aa", "bb", check=False), "one reaches two")
        assert until(lambda: ping(two, "bb", f"aa.{net}", check=False), "two reaches one")
        assert ping(two, "bb", "host-aa")
        mine, other = place(one, "aa", net), place(two, "bb", net)
        assert lookup(two, "bb", "both") == lookup(one, "aa", "both") == {mine["IPAddress"], other["IPAddress"]}
        assert mine["MacAddress"] == "02:42:" + socket.inet_aton(mine["IPAddress"]).hex(":")
        assert f"name = aa.{net}" in two.cli("exec", "bb", "nslookup", mine["IPAddress"]).stdout
        peers = json.loads(two.cli("network", "inspect", net).stdout)[0]["Peers"]
        assert sorted(peer["IP"] for peer in peers) == ["10.203.0.11", "10.203.0.12"]
        assert len({peer["Name"] for peer in peers} | {""}) > 1
        one.cli("rm", "-f", "aa")
        assert until(lambda: lookup(two, "bb", "aa") == set(), "the name goes with the container")

    def test_large_packets_fit(self, machines: Machines, net: str) -> None:
        one, two = machines
        sleeper(one, net, "aa")
        sleeper(two, net, "bb")
        until(lambda: ping(one, "aa", "bb", check=False), "one reaches two")
        target = place(two, "bb", net)["IPAddress"]
        there = inside(two, "bb", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        here = inside(one, "aa", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with there, here:
            there.bind((target, 7000))
            there.settimeout(10)
            here.setsockopt(socket.IPPROTO_IP, 10, 2)      # IP_MTU_DISCOVER, IP_PMTUDISC_DO: never in pieces
            here.sendto(bytes(1450 - 28), (target, 7000))
            assert len(there.recv(2000)) == 1450 - 28
            with pytest.raises(OSError, match="too long"):
                here.sendto(bytes(1450 - 27), (target, 7000))

    def test_the_way_out_is_another_interface(self, machines: Machines, net: str) -> None:
        one, two = machines
        one.cli("run", "-d", "--name", "web", "--network", net, "-p", "8088:80", "busybox", "sh", "-c",
                "mkdir -p /www && echo hello > /www/index.html && exec httpd -f -h /www")
        sleeper(two, net, "bb")
        assert until(lambda: two.get("http://10.203.0.11:8088/index.html") == b"hello\n", "a published port")
        assert "dev eth1" in one.cli("exec", "web", "ip", "route", "show", "default").stdout
        until(lambda: ping(two, "bb", "web", check=False), "two reaches one")
        assert "hello" in two.cli("exec", "bb", "wget", "-q", "-O", "-", "http://web/index.html").stdout
        one.cli("network", "disconnect", net, "web")
        until(lambda: not ping(two, "bb", "web", check=False), "it has left")
        one.cli("network", "connect", "--alias", "again", net, "web")
        assert until(lambda: ping(two, "bb", "again", check=False), "it is back")

    def test_what_is_refused(self, machines: Machines, net: str) -> None:
        one, two = machines
        assert f"network with name {net} already exists" in two.cli(
            "network", "create", "-d", "overlay", net, check=False).stderr
        sleeper(one, net, "aa", "--ip", "10.99.0.9")
        assert place(one, "aa", net)["IPAddress"] == "10.99.0.9"
        busy = one.cli("network", "rm", net, check=False)
        assert busy.returncode == 1
        assert self.busy in busy.stderr, busy.stderr
        two.cli("network", "create", "-d", "overlay", "plain")
        try:
            until(lambda: "plain" in networks(one), "the network is everywhere")
            refused = sleeper(one, "plain", "cc", check=False)
            assert refused.returncode == 125
            assert "network plain not manually attachable" in refused.stderr, refused.stderr
        finally:
            one.cli("rm", "-f", "cc", check=False)
            two.cli("network", "rm", "plain")
