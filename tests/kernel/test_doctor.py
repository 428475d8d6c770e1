"""`solva doctor` against the kernel it runs on: what it says can be made, can, and the other way round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from support.engine import LiveEngine, run

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="ip is not installed"),
]

Row = dict[str, Any]


@pytest.fixture
def netns() -> Iterator[str]:
    name = f"doctor-{os.getpid()}"
    run("ip", "netns", "add", name)
    yield name
    run("ip", "netns", "del", name)


def doctor(netns: str, *options: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """The command where no engine's socket is in its place, in network and mount namespaces of its own; ``without`` a
    program."""
    environment = {key: value for key, value in os.environ.items() if key not in ("SOLVA_HOST", "DOCKER_HOST")}
    inner = 'mkdir -p /run/solva && mount -t tmpfs none /run/solva && exec "$0" -m solva.cli doctor "$@"'
    if without:
        inner = f"mount --bind /dev/null {shutil.which(without)} && {inner}"
    return subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "unshare", "-m", "sh", "-c", inner, sys.executable,
                           *options], capture_output=True, text=True, check=False, env=environment)


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, Row]:
    answer = json.loads(done.stdout)
    assert answer["Engine"] == "not running"
    return {row["Name"]: row for row in answer["Checks"]}


def test_without_an_engine_each_driver_is_as_the_kernel_has_it(netns: str) -> None:
    done = doctor(netns, "--format", "json")
    found = rows(done)
    assert done.returncode == 0, done
    run("ip", "-n", netns, "link", "add", "parent0", "type", "veth", "peer", "name", "parent1")
    for kind, words in {"bridge": (), "macvlan": (), "ipvlan": (), "vlan": ("id", "50"), "vxlan": ("id", "9",
                        "dstport", "4789"), "wireguard": (), "dummy": ()}.items():
        parent = ("link", "parent0") if kind in ("macvlan", "ipvlan", "vlan") else ()
        tried = run("ip", "-n", netns, "link", "add", *parent, "name", "try0", "type", kind, *words, check=False)
        if kind == "dummy" and tried.returncode:
            assert "stands in" in found[kind]["Found"]
            continue
        assert (found[kind]["State"] == "ok") is (tried.returncode == 0), (found[kind], tried.stderr)
        if tried.returncode == 0:
            run("ip", "-n", netns, "link", "del", "try0")
        else:
            assert found[kind]["For"]
            assert found[kind]["Mend"].startswith(("modprobe ", "a kernel with CONFIG_"))
    for name in ("nftables", "overlayfs", "network namespaces", "crun", "conmon", "layout", "seccomp"):
        assert found[name]["State"] == "ok", found[name]


def test_another_firewall_is_found(netns: str) -> None:
    run("ip", "netns", "exec", netns, "nft", "-f", "-", input="""table inet firewalld {
        chain filter_FORWARD {
            type filter hook forward priority 10; policy drop;
        }
    }
    """)
    done = doctor(netns, "--format", "json")
    found = rows(done)
    for name in ("other firewalls: out of containers", "other firewalls: into containers"):
        assert found[name]["State"] == "limited"
        assert "chain filter_FORWARD of table inet firewalld (its policy drop, firewalld)" in found[name]["Found"]
        assert found[name]["Mend"].startswith("firewall-cmd --permanent --zone=trusted --add-interface=")
    assert done.returncode == 0


def test_a_missing_program_is_the_end_and_its_package_is_named(netns: str) -> None:
    done = doctor(netns, without="crun")
    assert done.returncode == 1, done
    assert "BROKEN   crun" in done.stdout
    assert "mend: apt-get install crun" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Containers cannot run here: crun")


def test_it_leaves_nothing_behind(netns: str) -> None:
    before = run("ip", "netns", "exec", netns, "nft", "list", "ruleset").stdout
    folder = "/var/lib/solva" if os.path.isdir("/var/lib/solva") else "/var/lib"
    doctor(netns, "-q")
    assert run("ip", "netns", "exec", netns, "nft", "list", "ruleset").stdout == before
    links = run("ip", "-n", netns, "-o", "link").stdout.splitlines()
    assert all(": lo:" in line or "tunl0" in line or "sit0" in line for line in links), links
    assert not [name for name in os.listdir(folder) if name.startswith(".solva-probe-")]


def test_a_running_engine_answers_for_its_machine(engine: LiveEngine) -> None:
    done = engine.cli("doctor", "--format", "json", check=False)
    answer = json.loads(done.stdout)
    assert answer["Engine"] == "running"
    assert {row["Name"]: row["State"] for row in answer["Checks"]}["bridge"] == "ok"
    assert done.returncode == 0
    quiet = engine.cli("doctor", "-q", check=False).stdout
    assert "ok       bridge" not in quiet
    assert "engine: running" in quiet
    wrong = engine.cli("-H", "unix:///nonexistent.sock", "doctor", check=False)
    assert "no engine answers at unix:///nonexistent.sock" in wrong.stderr
