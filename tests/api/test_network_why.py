"""`solva network why` on a live engine: what it says is what the kernel does, and each fault has its cause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.engine import LiveEngine, run

SERVER = "httpd -p 80; httpd -p 127.0.0.1:82; exec sleep 1000"


@pytest.fixture(scope="module")
def town(engine: LiveEngine) -> Iterator[LiveEngine]:
    """Containers on networks of several kinds."""
    boxes = {
        "why-a": ("why-app",), "why-b": ("why-app", "-p", "18490:80", "-p", "127.0.0.1:18491:80", "-p", "18492:82"),
        "why-far": ("why-other",), "why-in": ("why-int",),
        "why-one": ("why-apart", "--expose", "80"), "why-two": ("why-apart",),
        "why-plain": ("bridge",), "why-plainer": ("bridge",), "why-none": ("none",), "why-gone": ("why-app",),
        "why-linked": ("why-apart", "--link", "why-one:x"),
    }
    networks = {"why-app": (), "why-other": (), "why-int": ("--internal",),
                "why-apart": ("-o", "com.docker.network.bridge.enable_icc=false")}
    for name, options in networks.items():
        engine.cli("network", "create", *options, name)
    for name, (network, *options) in boxes.items():
        engine.cli("run", "-d", "--name", name, "--network", network, *options, "busybox", "sh", "-c", SERVER)
    engine.cli("kill", "why-gone")
    engine.cli("wait", "why-gone")
    for name in boxes:
        if name != "why-gone":
            engine.cli("exec", name, "sh", "-c", "until netstat -ltn | grep -q 127.0.0.1:82; do :; done")
    yield engine
    engine.cli("rm", "-f", *boxes)
    engine.cli("network", "rm", *networks)


def why(engine: LiveEngine, source: str, target: str, *options: str) -> dict[str, Any]:
    done = engine.cli("network", "why", source, target, "--format", "json", *options, check=False)
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if answer["Reachable"] else 1)
    return answer


def failed(answer: dict[str, Any]) -> str:
    return next((step["Stage"] for step in answer["Steps"] if step["Verdict"] == "fails"), "")


@pytest.mark.parametrize(("source", "target"), [
    ("why-a", "why-b:80"), ("host", "why-b:80"), ("why-a", "host:18490"), ("why-far", "host:18490"),
    ("why-b", "why-b:82"), ("host", "127.0.0.1:18491"), ("why-a", "tasks.why-b:80"), ("why-b", "host:18490"),
    ("why-linked", "why-one:80"),
])
def test_what_is_reachable_takes_a_packet(town: LiveEngine, source: str, target: str) -> None:
    answer = why(town, source, target, "--packet")
    assert answer["Reachable"], answer
    assert failed(answer) == ""
    assert answer["Packet"]["Result"] == "connected"
    if (source, target) != ("why-b", "why-b:82"):
        assert any("solva" in each["Where"] and each["Verdict"] == "accept" for each in answer["Packet"]["Passed"])


@pytest.mark.parametrize(("source", "target", "stage", "cause", "mend", "packet"), [
    ("why-a", "why-far:80", "names", "no network in common", "network connect why-other why-a", "no answer within 2 s"),
    ("why-a", "why-b:81", "listener", "nothing in why-b listens on port 81/tcp", "0.0.0.0:80/tcp|:::80|[::]:80/tcp",
     "refused"),
    ("why-a", "why-b:82", "listener", "loopback address only (127.0.0.1:82/tcp)", "listen on 0.0.0.0:82", "refused"),
    ("host", "127.0.0.1:18492", "listener", "loopback address only (127.0.0.1:82/tcp)", "0.0.0.0:82", "refused"),
    ("why-a", "host:18491", "rules", "published on a loopback address", "-p 18491:80", ""),
    ("why-one", "why-two:80", "rules", "enable_icc=false", "without", "no answer within 2 s"),
    ("why-plain", "why-plainer:80", "names", "default bridge only, which has no name service", "network create", ""),
    ("why-a", "why-gone:80", "state", "does not run (exited with status 137)", "solva start why-gone", ""),
    ("why-none", "why-b:80", "state", "--network none", "recreate", ""),
    ("why-a", "why-bb:80", "names", "nothing called why-bb", "did you mean why-b", ""),
    ("why-in", "internet", "route", "internal (why-int)", "network connect bridge why-in", ""),
])
def test_each_fault_has_its_cause_and_the_packet_agrees(town: LiveEngine, source: str, target: str, stage: str,
                                                        cause: str, mend: str, packet: str) -> None:
    answer = why(town, source, target, *(["--packet"] if packet else []))
    assert not answer["Reachable"], answer
    assert failed(answer) == stage
    assert cause in answer["Cause"]
    assert any(each in answer["Mend"] for each in mend.split("|")), answer["Mend"]
    if packet:
        assert answer["Packet"]["Result"] == packet, answer["Packet"]
    if packet.startswith("no answer"):
        assert answer["Packet"]["Passed"][-1]["Verdict"] == "drop"


@pytest.mark.parametrize(("target", "reachable", "cause"), [
    ("why-b:80", True, ""), ("why-b:18490", True, ""), ("why-a:80", False, "is not published"),
    ("why-in:80", False, "publishing has no effect"), ("why-b:82", False, "loopback address only"),
])
def test_from_the_lan(town: LiveEngine, target: str, reachable: bool, cause: str) -> None:
    answer = why(town, "lan", target, *(["--packet"] if reachable else []))
    assert answer["Reachable"] is reachable, answer
    assert cause in answer["Cause"]
    if reachable:      # sent by a stand-in: a namespace on a link of its own
        assert answer["Packet"]["Result"] == "connected"
        assert any(passed["Where"].endswith(" publish") for passed in answer["Packet"]["Passed"])


def test_a_port_published_on_loopback_only_is_not_the_lans(engine: LiveEngine) -> None:
    engine.cli("run", "-d", "--name", "why-lo", "-p", "127.0.0.1:18493:80", "busybox", "httpd", "-f", "-p", "80")
    try:
        answer = why(engine, "lan", "why-lo:80")
        assert "published on 127.0.0.1, which only this host reaches" in answer["Cause"]
        assert "-p 18493:80 in place of -p 127.0.0.1:18493:80" in answer["Mend"]
    finally:
        engine.cli("rm", "-f", "why-lo")


def test_another_programs_drop_is_found_and_the_packet_ends_there(town: LiveEngine) -> None:
    def nft(text: str) -> None:
        run("ip", "netns", "exec", town.name, "nft", "-f", "-", input=text)

    nft("""table inet why_wall {
        chain wall {
            type filter hook forward priority 5; policy accept;
            tcp dport 80 drop
        }
    }
    """)
    try:
        answer = why(town, "why-a", "why-b:80", "--packet")
        assert failed(answer) == "rules"
        assert 'chain wall of table inet why_wall (its rule "tcp dport 80 drop")' in answer["Cause"]
        assert "nft insert rule inet why_wall wall" in answer["Mend"]
        last = answer["Packet"]["Passed"][-1]
        assert (last["Where"], last["Verdict"]) == ("inet why_wall wall", "drop")
    finally:
        nft("delete table inet why_wall\n")
    assert why(town, "why-a", "why-b:80")["Reachable"]


def test_people_read_it(town: LiveEngine) -> None:
    done = town.cli("network", "why", "why-a", "why-b:81", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-3:-1] == ["why-a does not reach why-b:81.",
                                               "Cause:   nothing in why-b listens on port 81/tcp"]
    assert "listener FAILS" in done.stdout
    assert town.cli("network", "why", "why-a", "why-b:80").stdout.endswith("why-a reaches why-b:80.\n")
    wrong = town.cli("network", "why", "why-q", "why-b", check=False)
    assert wrong.returncode == 1
    assert "No such container: why-q (did you mean why-" in wrong.stderr
    assert town.cli("__complete", "network", "why", "la").stdout == "lan\n"
    assert "why-plain" in town.cli("__complete", "network", "why", "host", "why-p").stdout.splitlines()
    odd = town.cli("network", "why", "why-a", "why-b:http", check=False)
    assert "invalid port 'http'" in odd.stderr


def test_nothing_is_left_of_the_tracing(town: LiveEngine) -> None:
    before = town.log.read_text()
    why(town, "why-a", "why-b:80", "--packet")
    why(town, "lan", "why-b:80", "--packet")
    tables = run("ip", "netns", "exec", town.name, "nft", "list", "tables").stdout
    assert "trace" not in tables
    assert "svlan" not in run("ip", "-n", town.name, "-o", "link").stdout
    assert "removed or changed by" not in town.log.read_text()[len(before):], "its own tables are taken for another's"
