"""`solva ports`: what it says of each port is compared with connections from this host and from another one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from support.engine import LiveEngine, run


@pytest.fixture(scope="module")
def shop(engine: LiveEngine) -> Iterator[LiveEngine]:
    label = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web")
    engine.cli("run", "-d", "--name", "prt-web", *label, "-p", "18500:80", "-p", "127.0.0.1:18501:80",
               "-p", f"{engine.address}:18502:80", "-p", "18503:81", "-p", "18504:53/udp", "busybox", "sh", "-c",
               "httpd -p 80; exec httpd -f -p 127.0.0.1:81")
    engine.cli("run", "-d", "--name", "prt-host", "--network", "host", "busybox", "sleep", "1000")
    engine.cli("exec", "prt-web", "sh", "-c", "until netstat -ltn | grep -q 127.0.0.1:81; do :; done")
    yield engine
    engine.cli("rm", "-f", "prt-web", "prt-host")


def rows(engine: LiveEngine) -> dict[tuple[str, int], dict[str, Any]]:
    lines = engine.cli("ports", "prt-web", "prt-host", "--format", "json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    return {(row["HostIp"], row["HostPort"]): row for row in found}


def connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 3).close()
    except OSError:
        return False
    return True


def reach(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["Loopback"], row["Host"], row["Lan"]


def test_each_binding_as_it_is(shop: LiveEngine) -> None:
    found = rows(shop)
    everywhere, near, outer, deaf = (found[key] for key in (
        ("0.0.0.0", 18500), ("127.0.0.1", 18501), (shop.address, 18502), ("0.0.0.0", 18503)))
    assert reach(everywhere) == ("yes", "yes", "yes")
    assert (everywhere["Project"], everywhere["Service"], everywhere["ContainerPort"]) == ("shop", "web", 80)
    assert everywhere["Verified"] == f"127.0.0.1: connected; {shop.address}: connected"
    assert reach(near) == ("yes", "no", "no")
    assert reach(outer) == ("no", "yes", "yes")
    assert reach(deaf) == ("no", "no", "no")
    assert "prt-web listens on its loopback address only (127.0.0.1:81/tcp)" in deaf["Note"]
    assert found["0.0.0.0", 18504]["Loopback"] == "unknown"
    assert found["", 0]["Container"] == "prt-host"
    assert "host's network" in found["", 0]["Note"]
    # another machine: this test's own network namespace is one, seen from the engine's
    for row in (everywhere, near, outer, deaf):
        assert connects(shop.address, row["HostPort"]) is (row["Lan"] == "yes"), row
        assert shop.inside(lambda port=row["HostPort"]: connects("127.0.0.1", port)) is (row["Loopback"] == "yes")  # type: ignore[misc]
        assert shop.inside(lambda port=row["HostPort"]: connects(shop.address, port)) is (row["Host"] == "yes")  # type: ignore[misc]


def test_another_firewall_is_seen(shop: LiveEngine) -> None:
    def nft(text: str) -> None:
        run("ip", "netns", "exec", shop.name, "nft", "-f", "-", input=text)

    nft("""table ip prt_wall {
        chain FORWARD {
            type filter hook forward priority 0; policy accept;
            iifname "eth0" tcp dport 80 reject
        }
    }
    """)
    try:
        row = rows(shop)["0.0.0.0", 18500]
        assert reach(row) == ("yes", "yes", "no")
        assert "chain FORWARD of table ip prt_wall" in row["Note"]
        assert not connects(shop.address, 18500)
    finally:
        nft("delete table ip prt_wall\n")
    assert connects(shop.address, 18500)


def test_the_table_for_people(shop: LiveEngine) -> None:
    head, *lines = shop.cli("ports", "prt-web").stdout.splitlines()
    assert head.split() == ["CONTAINER", "PROJECT", "PORT", "PUBLISHED", "LOOPBACK", "THIS", "HOST", "LAN", "NOTE"]
    assert any(line.split()[:7] == ["prt-web", "shop", "80/tcp", "0.0.0.0:18500", "yes", "yes", "yes"]
               for line in lines)
    wrong = shop.cli("ports", "prt-none", check=False)
    assert wrong.returncode == 1
    assert "no running container prt-none publishes a port" in wrong.stderr
