"""Encrypted overlay networks: what is on the wire between the hosts, and what happens where there is no WireGuard.

The links are served by wireguard-go, so that real packets are encrypted on kernels without WireGuard, too: the rest
(keys, peers, namespaces, tables, refusals) is the same as with the kernel's.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from solva.cluster import rows, tunnel
from solva.kernel import wireguard
from solva.kernel.setns import in_netns
from suites.overlay import inside, networks, place, sleeper
from support.cluster import Lab, lab, missing_cluster, until
from support.engine import LiveEngine, run

_MISSING = missing_cluster() or ("" if not wireguard.refusal("wireguard-go") else wireguard.refusal("wireguard-go"))
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(_MISSING), reason=_MISSING)]
SECRET = b"the-payload-that-nobody-may-read"
MTU = 1500 - wireguard.OVERHEAD4 - 70
PLAIN_PORT, WIREGUARD_PORT = 4789, 51821


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("secret"), f"sec-{os.getpid()}", hosts=2, lease=6,
             more='wireguard = "wireguard-go"\n') as made:
        yield made


def host_id(engine: LiveEngine) -> str:
    return (engine.root / "data/engine-id").read_text().strip()


def tunnel_of(engine: LiveEngine) -> Path:
    return tunnel.path(engine.root / "run")


def forwards(engine: LiveEngine, net: str) -> str:
    identifier = json.loads(engine.cli("network", "inspect", net).stdout)[0]["Id"]
    done = subprocess.run(["nsenter", f"--net={engine.root}/run/overlay/{identifier}", "bridge", "fdb", "show", "dev",
                           "vxlan0"], capture_output=True, text=True, check=True)
    return done.stdout


def exchange(one: LiveEngine, two: LiveEngine, net: str, size: int = 0) -> None:
    """A packet with the secret goes from container aa to container bb; again until it has come."""
    target = place(two, "bb", net)["IPAddress"]
    there = inside(two, "bb", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    here = inside(one, "aa", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    text = SECRET.ljust(size, b".")
    with there, here:
        there.bind((target, 7000))
        there.settimeout(0.5)
        here.setsockopt(socket.IPPROTO_IP, 10, 2)      # IP_MTU_DISCOVER, IP_PMTUDISC_DO: never in pieces

        def come() -> bool:
            here.sendto(text, (target, 7000))
            try:
                return there.recv(2000) == text
            except TimeoutError:
                return False

        until(come, "the packet comes")


def watched(cluster: Lab, action: Callable[[], None]) -> list[bytes]:
    """The frames that the switch has passed between the two hosts meanwhile."""
    listener = in_netns(f"/run/netns/{cluster.name}-sw", lambda: socket.socket(
        socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        action()
        listener.setblocking(False)
        frames = []
        while True:
            try:
                frames.append(listener.recv(4096))
            except BlockingIOError:
                break
    hosts = {socket.inet_aton(cluster.address(number)) for number in (1, 2)}
    return [frame for frame in frames if frame[12:14] == b"\x08\x00" and {frame[26:30], frame[30:34]} == hosts]


def udp_ports(frames: list[bytes]) -> set[int]:
    """Destination ports; 0 stands for whatever is not UDP. Of packets in pieces the first has them."""
    return {struct.unpack_from("!H", frame, 36)[0] if frame[23] == socket.IPPROTO_UDP else 0 for frame in frames
            if not struct.unpack_from("!H", frame, 20)[0] & 0x1FFF}


def test_only_wireguard_is_on_the_wire(cluster: Lab) -> None:
    one, two = cluster.engines
    one.cli("network", "create", "-d", "overlay", "--attachable", "clear")
    one.cli("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "secret")
    until(lambda: {"clear", "secret"} <= set(networks(two)), "the networks are everywhere")
    for net in ("clear", "secret"):
        sleeper(one, net, "aa")
        sleeper(two, net, "bb")
        exchange(one, two, net)
        frames = watched(cluster, lambda net=net: exchange(one, two, net))      # type: ignore[misc]
        assert frames
        plain = any(SECRET in frame for frame in frames)
        if net == "clear":      # the control: what is looked for can be seen
            assert plain
            assert udp_ports(frames) == {PLAIN_PORT}
            for engine in cluster.engines:
                assert not tunnel_of(engine).exists()      # nobody needs one yet
                engine.cli("rm", "-f", "aa" if engine is one else "bb")
        else:
            assert not plain
            assert udp_ports(frames) == {WIREGUARD_PORT}
    # Large packets fit; the container's link says how large.
    assert f"mtu {MTU}" in one.cli("exec", "aa", "ip", "link", "show", "eth0").stdout
    frames = watched(cluster, lambda: exchange(one, two, "secret", MTU - 28))
    assert udp_ports(frames) == {WIREGUARD_PORT}
    assert max(map(len, frames)) <= 1514
    # The tables name tunnels only; private keys are in files of root, and never in the store.
    assert f"dst {rows.tunnel_address(host_id(two))} " in forwards(one, "secret")
    assert cluster.address(2) not in forwards(one, "secret")
    for engine in cluster.engines:
        key = engine.root / "data/cluster/wireguard.key"
        assert key.stat().st_mode & 0o777 == 0o600
        everything = cluster.etcd.http("POST", "/v3/kv/range", b'{"key": "AA==", "range_end": "AA=="}')
        assert everything
        assert key.read_text().strip() not in str(everything)
    a_link_that_goes_is_back_and_nothing_was_plain(cluster)
    a_wrong_entry_is_taken_back(cluster)
    the_engine_may_end(cluster)
    for engine, name in ((one, "aa"), (two, "bb")):
        engine.cli("rm", "-f", name)
        until(lambda engine=engine: not tunnel_of(engine).exists(), "no network, no tunnel")      # type: ignore[misc]
    until(lambda: one.cli("network", "rm", "secret", "clear", check=False).returncode == 0, "nobody is on them")


def a_link_that_goes_is_back_and_nothing_was_plain(cluster: Lab) -> None:
    one, two = cluster.engines

    def cut() -> None:
        link = tunnel.link_name(host_id(one))
        run("nsenter", f"--net={tunnel_of(one)}", "ip", "link", "del", link)
        exchange(one, two, "secret")

    frames = watched(cluster, cut)
    assert not any(SECRET in frame for frame in frames)
    assert udp_ports(frames) == {WIREGUARD_PORT}


def a_wrong_entry_is_taken_back(cluster: Lab) -> None:
    """Somebody points the table at the plain address: nothing leaves, and the entry is mended."""
    one, two = cluster.engines
    identifier = json.loads(one.cli("network", "inspect", "secret").stdout)[0]["Id"]
    mac = place(two, "bb", "secret")["MacAddress"]
    namespace = f"--net={one.root}/run/overlay/{identifier}"

    def misdirect() -> None:      # mapped into IPv6, the only form that the link takes
        subprocess.run(["nsenter", namespace, "bridge", "fdb", "replace", mac, "dev", "vxlan0", "dst",
                        f"::ffff:{cluster.address(2)}"], check=False, capture_output=True)
        exchange(one, two, "secret")

    frames = watched(cluster, misdirect)
    assert not any(SECRET in frame for frame in frames)
    assert udp_ports(frames) <= {WIREGUARD_PORT}
    assert cluster.address(2) not in forwards(one, "secret")


def the_engine_may_end(cluster: Lab) -> None:
    """The tunnel goes on without it, and the next one takes it over."""
    one, two = cluster.engines
    before = tunnel_of(one).stat().st_ino
    one.stop()
    one.start()
    exchange(one, two, "secret")
    assert tunnel_of(one).stat().st_ino == before


def test_a_host_without_it_refuses(cluster: Lab) -> None:
    one, two = cluster.engines
    one.cli("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "closed")
    until(lambda: "closed" in networks(two), "the network is everywhere")
    two.stop()
    configuration = two.root / "engine.toml"
    text = configuration.read_text()
    configuration.write_text(text.replace('wireguard = "wireguard-go"', 'wireguard = "no-such-program"'))
    try:
        two.start()
        refused = sleeper(two, "closed", "bb", check=False)
        assert refused.returncode != 0
        assert "network closed is encrypted, and this host cannot take part" in refused.stderr
        assert "no-such-program is not installed" in refused.stderr
        two.cli("rm", "-f", "bb", check=False)
        refused = two.cli("network", "create", "-d", "overlay", "-o", "encrypted", "other", check=False)
        assert "needs WireGuard" in refused.stderr
        assert list((two.root / "run").glob("overlay/*")) == []
        # The others are told: it has no key any more, so that they would not send it anything.
        until(lambda: host_row(cluster, two).key == "", "its key is gone from the store")
    finally:
        two.stop()
        configuration.write_text(text)
        two.start()
    until(lambda: host_row(cluster, two).key != "", "its key is back")
    one.cli("network", "rm", "closed")


def host_row(cluster: Lab, engine: LiveEngine) -> rows.HostRow:
    from base64 import b64decode, b64encode

    import msgspec

    key = b64encode(rows.host_key(host_id(engine)).encode()).decode()
    answer = json.loads(cluster.etcd.http("POST", "/v3/kv/range", json.dumps({"key": key}).encode()))
    found = answer.get("kvs")
    return msgspec.json.decode(b64decode(found[0]["value"]), type=rows.HostRow) if found else rows.HostRow(
        address="", key="not registered")
