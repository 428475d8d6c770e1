"""Overlay networks over three engines, an etcd between them, and everything that may happen to either."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suites.overlay import Machines, OverlaySuite, clear, inside, inspect, lookup, networks, ping, place, sleeper
from support.cluster import Lab, agent_pid, kill_machine, lab, missing_cluster, until
from support.engine import LiveEngine, live_engine, run

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing_cluster()), reason=missing_cluster())]
LEASE = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("overlay"), f"ovl-{os.getpid()}", hosts=3, lease=LEASE) as made:
        yield made


@pytest.fixture
def net(cluster: Lab) -> Iterator[str]:
    """An attachable overlay network; it and the containers of the test are gone afterwards, on every host."""
    name = f"ov{time.monotonic_ns() % 1_000_000}"
    cluster.engines[0].cli("network", "create", "-d", "overlay", "--attachable", "--ipv6", name)
    until(lambda: all(name in networks(engine) for engine in cluster.engines), "the network is everywhere")
    yield name
    for engine in cluster.engines:
        clear(engine)
    # What etcd could not be told when a container ended the agent tells it, a third of a lease later at most.
    until(lambda: cluster.engines[1].cli("network", "rm", name, check=False).returncode == 0, "nobody is on it")
    for engine in cluster.engines:
        until(lambda engine=engine: not list((engine.root / "run/overlay").glob("*")), "nothing of it is left")


class TestSolva(OverlaySuite):
    @pytest.fixture
    def machines(self, cluster: Lab) -> Machines:
        return cluster.engines[:2]


def test_three_hosts_and_a_new_name(cluster: Lab, net: str) -> None:
    one, two, three = cluster.engines
    shown = two.cli("network", "inspect", net).stdout
    assert shown == three.cli("network", "inspect", net).stdout
    sleeper(one, net, "aa", "--network-alias", "both")
    sleeper(two, net, "bb", "--network-alias", "both")
    sleeper(three, net, "cc")
    assert ping(three, "cc", "aa")
    assert ping(two, "bb", "cc")
    assert three.cli("exec", "cc", "ping", "-6", "-c", "1", "-W", "2", "aa", check=False).returncode == 0
    assert net not in three.cli("network", "prune", "-f").stdout
    addresses = {place(engine, name, net)["IPAddress"] for engine, name in ((one, "aa"), (two, "bb"))}
    assert addresses < lookup(three, "cc", "both")      # those of the other IP version, too
    one.cli("rename", "aa", "renamed")
    assert until(lambda: ping(three, "cc", "renamed", check=False), "the new name is known elsewhere")
    two.cli("rm", "-f", "bb")
    assert until(lambda: lookup(three, "cc", "bb") == set(), "the name goes with the container")


def test_two_hosts_never_take_the_same(cluster: Lab, net: str) -> None:
    def make(number: int) -> str:
        engine = cluster.engines[number % 3]
        sleeper(engine, net, f"s{number}")
        return str(place(engine, f"s{number}", net)["IPAddress"])

    def create(number: int) -> bool:
        engine = cluster.engines[number % 3]
        return engine.cli("network", "create", "-d", "overlay", "same", check=False).returncode == 0

    def other(number: int) -> str:
        engine = cluster.engines[number % 3]
        engine.cli("network", "create", "-d", "overlay", f"other{number}")
        shown = json.loads(engine.cli("network", "inspect", f"other{number}").stdout)[0]
        return shown["IPAM"]["Config"][0]["Subnet"] + str(shown["Options"])

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(make, range(9)))) == 9
        assert sum(pool.map(create, range(6))) == 1
        assert len(set(pool.map(other, range(6)))) == 6
    taken = place(cluster.engines[0], "s0", net)["IPAddress"]
    subnet = ".".join(taken.split(".")[:3])
    cluster.engines[2].cli("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.99.0.0/24", "fixed")
    until(lambda: "fixed" in networks(cluster.engines[1]), "fixed is everywhere")
    sleeper(cluster.engines[0], "fixed", "f0", "--ip", "10.99.0.9")
    refused = sleeper(cluster.engines[1], "fixed", "f1", "--ip", "10.99.0.9", check=False)
    assert "Address already in use" in refused.stderr
    overlap = cluster.engines[1].cli("network", "create", "-d", "overlay", "--subnet", f"{subnet}.0/25", "over",
                                     check=False)
    assert "Pool overlaps with other one on this address space" in overlap.stderr
    busy = cluster.engines[2].cli("network", "rm", "fixed", check=False)
    assert 'network fixed has active endpoints (name:"f0"' in busy.stderr
    for engine in cluster.engines:
        clear(engine)
    for name in ("fixed", "same", *(f"other{number}" for number in range(6))):
        cluster.engines[1].cli("network", "rm", name)


def test_an_internal_network_has_no_way_out(cluster: Lab, net: str) -> None:
    one, two, _ = cluster.engines
    two.cli("network", "create", "-d", "overlay", "--attachable", "--internal", "closed")
    until(lambda: "closed" in networks(one), "closed is everywhere")
    two.cli("run", "--rm", "--network", "closed", "busybox", "sh", "-c",
            "! ip link show eth1 && ! ip route | grep default")
    sleeper(two, net, "bb")
    two.cli("network", "connect", "closed", "bb")
    sleeper(one, "closed", "dd")
    assert ping(two, "bb", "dd")
    two.cli("network", "disconnect", "closed", "bb")
    assert not ping(two, "bb", "dd", check=False)
    one.cli("rm", "-f", "dd")
    one.cli("network", "rm", "closed")


def test_what_somebody_breaks_in_the_kernel_is_mended(cluster: Lab, net: str) -> None:
    one, two, _ = cluster.engines
    sleeper(one, net, "aa")
    sleeper(two, net, "bb")
    target = place(two, "bb", net)
    folder = next((one.root / "run/overlay").iterdir())
    run("nsenter", f"--net={folder}", "bridge", "fdb", "del", target["MacAddress"], "dev", "vxlan0", "dst",
        cluster.address(2), "self")
    run("nsenter", f"--net={folder}", "ip", "neigh", "flush", "dev", "vxlan0", "nud", "permanent")
    until(lambda: ping(one, "aa", target["IPAddress"], check=False), "the tables are mended")


def test_without_etcd_what_runs_goes_on(cluster: Lab, net: str) -> None:
    one, two, three = cluster.engines
    sleeper(one, net, "aa")
    sleeper(two, net, "bb")
    sleeper(two, net, "gone")
    cluster.etcd.stop()
    try:
        assert ping(one, "aa", "bb")
        refused = sleeper(one, net, "new", check=False)
        assert refused.returncode == 125
        assert "the cluster's etcd cannot be reached (10.203.0.1:2379: connection refused)" in refused.stderr
        assert "nothing on overlay networks can be created or attached until it is back" in refused.stderr
        refused = one.cli("network", "create", "-d", "overlay", "later", check=False)
        assert "etcd cannot be reached" in refused.stderr
        assert net in networks(three)
        two.cli("rm", "-f", "gone")
        two.cli("run", "--rm", "busybox", "true")      # other networks do not care
        two.stop()
        two.start()
        assert ping(two, "bb", "aa")
    finally:
        cluster.etcd.start()
    until(lambda: sleeper(one, net, "back", check=False).returncode == 0 or clear_name(one, "back"), "etcd is back")
    assert ping(one, "back", "bb")
    until(lambda: lookup(one, "aa", "gone") == set(), "what went meanwhile is taken back")


def netns(engine: LiveEngine, name: str) -> str:
    return str(engine.root / "run/netns" / inspect(engine, name)["Id"])


def clear_name(engine: LiveEngine, name: str) -> None:
    engine.cli("rm", "-f", name, check=False)


def test_a_killed_engine_changes_nothing(cluster: Lab, net: str) -> None:
    one, two, _ = cluster.engines
    sleeper(one, net, "aa")
    sleeper(two, net, "bb")
    address, inside = place(one, "aa", net)["IPAddress"], netns(one, "aa")
    before = agent_pid(one)
    one.kill()
    sleeper(two, net, "later")
    new = place(two, "later", net)["IPAddress"]
    end = time.monotonic() + LEASE + 1
    while time.monotonic() < end:      # longer than the lease: the agent keeps it
        assert ping(two, "bb", address)
    reach = ["nsenter", f"--net={inside}", "busybox", "ping", "-c", "1", "-W", "2", new]
    assert subprocess.run(reach, check=False, capture_output=True).returncode == 0
    one.start()
    assert agent_pid(one) == before
    assert ping(one, "aa", "later")
    assert ping(two, "bb", "aa")


def test_a_killed_agent_is_replaced(cluster: Lab, net: str) -> None:
    one, two, _ = cluster.engines
    sleeper(one, net, "aa")
    before = agent_pid(one)
    run("kill", "-9", str(before))
    until(lambda: agent_pid(one) not in (0, before), "another agent is there")
    sleeper(two, net, "bb")
    assert until(lambda: ping(one, "aa", "bb", check=False), "the new agent follows")
    assert ping(two, "bb", "aa")


def test_a_lost_lease_registers_everything_again(cluster: Lab, net: str) -> None:
    one, two, three = cluster.engines
    sleeper(one, net, "aa")
    sleeper(two, net, "bb")
    sleeper(three, net, "cc")
    sleeper(one, net, "gone")
    cluster.wall(1, plugged=False)
    try:
        until(lambda: lookup(two, "bb", "aa") == set(), "the others forget a host that etcd does not hear of", 60)
        assert ping(two, "bb", "cc")
        sleeper(two, net, "meanwhile")
        one.cli("rm", "-f", "gone")
        cluster.cable("host3", plugged=False)
        assert not ping(two, "bb", "cc", check=False)
        cluster.cable("host3", plugged=True)
        until(lambda: ping(two, "bb", "cc", check=False), "a cable that is back")
    finally:
        cluster.cable("host3", plugged=True)
        cluster.wall(1, plugged=True)
    until(lambda: ping(two, "bb", "aa", check=False), "it is registered again", 60)
    until(lambda: ping(one, "aa", "meanwhile", check=False), "and knows what came meanwhile", 60)
    until(lambda: len(cluster.etcd.keys(f"/solva/addresses/{network_id(one, net)}/")) == 8, "no address is lost", 60)
    assert "everything is registered again" in (one.root / "run/cluster/agent.log").read_text()


def test_a_store_that_lost_its_data_is_filled_again(cluster: Lab, net: str) -> None:
    one, two, _ = cluster.engines
    sleeper(one, net, "aa")
    sleeper(two, net, "bb")
    cluster.etcd.erase()
    cluster.etcd.start()
    until(lambda: ping(one, "aa", "bb", check=False), "both are there again", 60)
    until(lambda: sleeper(one, net, "new", check=False).returncode == 0 or clear_name(one, "new"), "it can be used", 60)
    until(lambda: ping(two, "bb", "new", check=False), "the new one is known")
    until(lambda: all(net in networks(engine) for engine in cluster.engines), "the network is everywhere", 60)


def test_a_dead_host_is_forgotten_within_its_lease(cluster: Lab, net: str) -> None:
    one, two, three = cluster.engines
    sleeper(three, net, "cc")
    sleeper(one, net, "aa")
    folder = next((one.root / "run/overlay").iterdir())
    mac = place(three, "cc", net)["MacAddress"]

    def known() -> bool:
        return mac in run("nsenter", f"--net={folder}", "bridge", "fdb", "show", "dev", "vxlan0").stdout

    assert known()
    died = time.monotonic()
    kill_machine(three)
    until(lambda: not known(), "its entries are gone", 60)
    assert time.monotonic() - died < 10 * LEASE      # etcd takes up to half a lease more; the machine is slow
    assert lookup(one, "aa", "cc") == set()
    three.start()      # it comes back with its container alive: everything is registered again
    until(lambda: ping(one, "aa", "cc", check=False), "it is back", 60)
    assert two.cli("network", "rm", net, check=False).returncode == 1


def test_what_is_refused(cluster: Lab, tmp_path: Path) -> None:
    one = cluster.engines[0]
    for option, text in (("encrypted", "needs WireGuard"), ("encripted=1", "did you mean encrypted?"),
                         ("com.docker.network.driver.overlay.vxlanid_list=x", "invalid syntax")):
        refused = one.cli("network", "create", "-d", "overlay", "-o", option, "bad", check=False)
        assert refused.returncode == 1
        assert text in refused.stderr
    assert "bad" not in networks(one)
    noted = one.cli("network", "create", "-d", "overlay2", "-o", "strange=1", "plain")
    assert "storage driver" in noted.stderr
    assert "has no option strange" in noted.stderr
    assert json.loads(one.cli("network", "inspect", "plain").stdout)[0]["Driver"] == "overlay"
    refused = sleeper(one, "plain", "xx", check=False)
    assert "network plain not manually attachable" in refused.stderr
    one.cli("rm", "-f", "xx")
    one.cli("network", "rm", "plain")
    with live_engine(tmp_path / "alone", f"ovl-a-{os.getpid()}") as alone:
        refused = alone.cli("network", "create", "-d", "overlay", "any", check=False)
        assert "This node is not a swarm manager" in refused.stderr
        assert "--cluster etcd://HOST:2379 --advertise ADDRESS" in refused.stderr


@pytest.mark.parametrize("fault", ["join: address", "join: link", "attach: names", "detach: left"])
def test_an_engine_that_dies_in_the_middle_leaves_nothing(
        cluster: Lab, net: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cluster.engines[0]
    one.stop()
    monkeypatch.setenv("SOLVA_FAULT", fault)
    one.start()
    assert one.process is not None
    sleeper(one, net, "aa", check=False)
    if one.process.poll() is None:
        one.cli("rm", "-f", "aa", check=False)
    one.process.wait(30)
    monkeypatch.delenv("SOLVA_FAULT")
    one.start()
    one.cli("rm", "-f", "aa", check=False)
    until(lambda: not cluster.etcd.keys(f"/solva/addresses/{network_id(one, net)}/"), "no address is taken")
    until(lambda: not cluster.etcd.keys(f"/solva/endpoints/{network_id(one, net)}/"), "no endpoint is registered")
    until(lambda: not list((one.root / "run/overlay").glob("*")), "no namespace is left")
    assert not list((one.root / "run/cluster/endpoints").glob("*"))


def network_id(engine: LiveEngine, name: str) -> str:
    return engine.cli("network", "inspect", name, "--format", "{{.Id}}").stdout.strip()


def test_multicasts_only_where_asked_for(cluster: Lab, net: str) -> None:
    one, two, _ = cluster.engines
    one.cli("network", "create", "-d", "overlay", "--attachable", "-o", "solva.multicast=true", "loud")
    until(lambda: "loud" in networks(two), "loud is everywhere")
    heard = {}
    for name in (net, "loud"):
        sleeper(one, name, f"a-{name}")
        sleeper(two, name, f"b-{name}")
        group, here = socket.inet_aton("239.1.2.3"), socket.inet_aton(place(two, f"b-{name}", name)["IPAddress"])
        there = inside(two, f"b-{name}", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender = inside(one, f"a-{name}", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with there, sender:
            there.bind(("", 7001))
            there.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + here)
            there.settimeout(0.3)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                              socket.inet_aton(place(one, f"a-{name}", name)["IPAddress"]))
            heard[name] = False
            for _ in range(4 if name == net else 40):
                sender.sendto(b"hello", ("239.1.2.3", 7001))
                try:
                    heard[name] = there.recv(10) == b"hello"
                    break
                except TimeoutError:
                    continue
    for engine in (one, two):
        clear(engine)
    one.cli("network", "rm", "loud")
    assert heard == {net: False, "loud": True}
