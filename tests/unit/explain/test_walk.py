"""Reachability over facts: every cause the walk knows, without a kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from solva.errors import InvalidParameter
from solva.explain.collect import split
from solva.explain.facts import Answer, Listener, Machine, Party, Place, Published, Question
from solva.explain.walk import walk
from solva.networks.firewall.foreign import Obstacle
from solva.networks.firewall.matching import Packet
from solva.networks.firewall.ruleset import BridgeRules

APP = BridgeRules("br-app", "172.20.0.0/16")
SHUT = BridgeRules("br-shut", "172.21.0.0/16", internal=True)


def on(network: str, ipv4: str, rules: BridgeRules, **more: Any) -> Place:
    given: dict[str, Any] = {"bridge": rules.interface, "gateway": not rules.internal, "internal": rules.internal,
                             "rules": rules, "host_addresses": (rules.subnet4.rpartition(".")[0] + ".1",)}
    return Place(network, "bridge", "eth0", ipv4, **{**given, **more})


def box(name: str, *places: Place, listens: tuple[str, ...] = (), **more: Any) -> Party:
    """``listens``: ADDRESS:PORT over TCP."""
    listeners = tuple(Listener("tcp", each.rpartition(":")[0], int(each.rpartition(":")[2])) for each in listens)
    return Party("container", name, name, places=places, listeners=listeners, **more)


WEB = box("web", on("app", "172.20.0.2", APP))
DB = box("db", on("app", "172.20.0.3", APP), listens=("0.0.0.0:5432",), resolved=("172.20.0.3",))
HOST = Party("host", "host", "this host")
LAN = Party("lan", "lan", "the LAN")
INTERNET = Party("internet", "internet", "the internet")


def machine(**changes: Any) -> Machine:
    given: dict[str, Any] = {
        "addresses": ("127.0.0.1", "192.0.2.10"), "uplink": "eth0", "uplink_address": "192.0.2.10",
        "default_route": True, "forwarding": True, "bridged": True, "table": True, "published": (), "listeners": (),
        "holders": {}, "stop": lambda _: None}
    return Machine(**{**given, **changes})


def why(source: Party, target: Party, port: int = 0, **changes: Any) -> Answer:
    return walk(Question(source, target, port), machine(**changes))


def test_neighbours_on_a_network() -> None:
    found = why(WEB, DB, 5432)
    assert found.reachable, found
    assert [step.stage for step in found.steps] == ["state", "state", "names", "address", "route", "bridge", "rules",
                                                    "listener"]
    assert all(step.verdict == "ok" for step in found.steps)
    assert (found.address, found.port, found.cause, found.mend) == ("172.20.0.3", 5432, "", "")


def changed(party: Party, **changes: Any) -> Party:
    return replace(party, places=(replace(party.places[0], **changes),))


OUTBOUND: list[tuple[str, Party, Party, int, dict[str, Any], str, str]] = [
    ("stopped", WEB, replace(DB, state="exited", exit_code=3), 0, {}, "does not run (exited with status 3)",
     "solva start db"),
    ("paused", WEB, replace(DB, state="paused"), 0, {}, "is paused", "solva unpause db"),
    ("source stopped", replace(WEB, state="created"), DB, 0, {}, "container web does not run", "solva start web"),
    ("no network at all", replace(WEB, mode="none"), DB, 0, {}, "--network none", "recreate web"),
    ("strangers", WEB, box("far", on("other", "172.22.0.2", BridgeRules("br-other", "172.22.0.0/16"))), 80, {},
     "no network in common", "solva network connect other web"),
    ("default bridge by name", changed(WEB, named=False), changed(replace(DB, resolved=()), named=False), 0, {},
     "default bridge only, which has no name service", "solva network create NET"),
    ("name hidden", WEB, replace(DB, resolved=("192.0.2.99",)), 0, {}, "leads to 192.0.2.99", "cat /etc/hosts"),
    ("name server silent", WEB, replace(DB, resolved=()), 0, {}, "does not answer for db", "solva network dns"),
    ("unplugged", WEB, changed(DB, attached=False), 0, {}, "taken out of the bridge br-app", "solva engine"),
    ("bridge down", changed(WEB, bridge_up=False), DB, 0, {}, "bridge br-app of network app is gone or down",
     "solva engine"),
    ("icc off", changed(WEB, rules=replace(APP, icc=False)), DB, 0, {}, "enable_icc=false", "without"),
    ("nothing listens", WEB, DB, 80, {}, "nothing in db listens on port 80/tcp", "0.0.0.0:5432/tcp"),
    ("loopback only", WEB, replace(DB, listeners=(Listener("tcp", "127.0.0.1", 5432),)), 5432, {},
     "listens on its loopback address only (127.0.0.1:5432/tcp)", "listen on 0.0.0.0:5432"),
    ("another address only", WEB, replace(DB, listeners=(Listener("tcp", "10.0.0.9", 5432),)), 5432, {},
     "listens on 10.0.0.9:5432/tcp only", "0.0.0.0:5432"),
    ("private macvlan", changed(WEB, driver="macvlan", mode="private"), changed(DB, driver="macvlan"), 0, {},
     "macvlan in private mode", "macvlan_mode=bridge"),
    ("shares another's network", WEB, replace(DB, resolved=(), shares="pod"), 0, {}, "shares the network of pod",
     "use pod in place of db"),
    ("macvlan without a gateway", box("m", Place("mv", "macvlan", "eth0", "10.0.0.2")), INTERNET, 0, {},
     "network mv has no gateway", "--gateway ROUTER"),
    ("outside name", WEB, Party("unknown", "www.example.org"), 0, {}, "no resolver that web asks knows www.example.org",
     "solva network dns --log on"),
    ("wrong name", WEB, Party("unknown", "dbb", near=("db",)), 0, {}, "nothing called dbb", "did you mean db?"),
    ("internal to the internet", box("web", on("shut", "172.21.0.2", SHUT)), INTERNET, 0, {},
     "all networks of web are internal (shut)", "solva network connect bridge web"),
    ("forwarding off", WEB, INTERNET, 0, {"forwarding": False}, "forwarding is off", "sysctl -w net.ipv4.ip_forward=1"),
    ("host has no way out for IPv6", box("six", on("six", "", APP, ipv6="fd00::2")), INTERNET, 0,
     {"forwarding6": True}, "no default route for IPv6", "ip -6 route"),
    ("host has no way out", WEB, INTERNET, 0, {"uplink": "", "default_route": False}, "no default route",
     "ip -4 route"),
    ("rules gone", WEB, INTERNET, 0, {"table": False}, "rules are not in the kernel", "solva engine"),
    ("host publishes on loopback", WEB, HOST, 8080, {"published": (Published("tcp", "127.0.0.1", 8080, 80, "db"),)},
     "published on a loopback address of the host only", "-p 8080:80"),
    ("host serves nothing", WEB, HOST, 22, {}, "nothing in this host listens on port 22", "start the program"),
    ("host serves itself", WEB, HOST, 22, {"listeners": (Listener("tcp", "127.0.0.1", 22),)}, "loopback address only",
     "0.0.0.0:22"),
    ("own loopback", WEB, Party("address", "127.0.0.1", address="127.0.0.1"), 80, {}, "nothing in web listens", "logs"),
]


@pytest.mark.parametrize(("source", "target", "port", "changes", "cause", "mend"), [row[1:] for row in OUTBOUND],
                         ids=[row[0] for row in OUTBOUND])
def test_from_a_container(source: Party, target: Party, port: int, changes: dict[str, Any], cause: str,
                          mend: str) -> None:
    found = why(source, target, port, **changes)
    assert found.reachable is not bool(cause), found
    assert cause in found.cause
    assert mend in found.mend
    if cause:
        assert found.steps[-1].verdict == "fails"
        assert all(step.verdict != "fails" for step in found.steps[:-1])


SERVED = replace(DB, published=(Published("tcp", "0.0.0.0", 8080, 5432, "db", "172.20.0.3"),), resolved=None)
LOCAL = replace(DB, published=(Published("tcp", "127.0.0.1", 8080, 5432, "db", "172.20.0.3"),), resolved=None)

INBOUND: list[tuple[str, Party, Party, int, dict[str, Any], str, str]] = [
    ("published", LAN, SERVED, 5432, {}, "", ""),
    ("by its host port", LAN, SERVED, 8080, {}, "", ""),
    ("the internet", INTERNET, SERVED, 5432, {}, "", ""),
    ("loopback", LAN, LOCAL, 5432, {}, "published on 127.0.0.1, which only this host reaches",
     "-p 8080:5432 in place of -p 127.0.0.1:8080:5432"),
    ("not published", LAN, SERVED, 81, {}, "port 81/tcp of db is not published", "-p 81:81"),
    ("IPv6 only on a host without", LAN, replace(SERVED, published=(
        Published("tcp", "::", 8080, 5432, "db", "fd00::3"),)), 5432, {}, "know no IPv6 address of this host", "ip -6"),
    ("IPv6 only", LAN, replace(SERVED, published=(Published("tcp", "::", 8080, 5432, "db", "fd00::3"),), listeners=(
        Listener("tcp", "::", 5432),)), 5432, {"uplink6": "2001:db8::10", "forwarding6": True}, "", ""),
    ("to macvlan", LAN, box("m", Place("mv", "macvlan", "eth0", "10.0.0.2"), listens=("0.0.0.0:80",)), 80, {}, "", ""),
    ("to a deaf macvlan", LAN, box("m", Place("mv", "macvlan", "eth0", "10.0.0.2")), 80, {}, "nothing in m listens",
     ""),
    ("neither is here", LAN, INTERNET, 0, {}, "neither end is a container or this host", "name a container"),
    ("internal", LAN, box("in", on("shut", "172.21.0.2", SHUT)), 80, {}, "publishing has no effect", "bridge in"),
    ("published to a deaf one", LAN, replace(SERVED, listeners=(Listener("tcp", "127.0.0.1", 5432),)), 5432, {},
     "loopback address only", "0.0.0.0:5432"),
    ("forwarding off", LAN, SERVED, 5432, {"forwarding": False}, "forwarding is off", "sysctl"),
    ("stopped", LAN, replace(SERVED, state="exited"), 5432, {}, "does not run", "solva start"),
    ("host to container", HOST, DB, 5432, {}, "", ""),
    ("host to macvlan", HOST, box("m", Place("mv", "macvlan", "eth0", "10.0.0.2")), 80, {},
     "does not reach its own macvlan children", "host_access"),
    ("host to macvlan with a link of its own", HOST,
     box("m", Place("mv", "macvlan", "eth0", "10.0.0.2", host_access=True), listens=("0.0.0.0:80",)), 80, {}, "", ""),
    ("host to its port", HOST, HOST, 8080, {"published": SERVED.published, "holders": {"db": SERVED}}, "", ""),
    ("lan to a loopback port", LAN, HOST, 8080, {"published": LOCAL.published}, "only this host reaches",
     "-p 8080:5432"),
    ("lan to 127.0.0.1", LAN, Party("address", "127.0.0.1", address="127.0.0.1"), 80, {}, "is that machine itself",
     "192.0.2.10"),
    ("host to the world", HOST, INTERNET, 0, {"default_route": False}, "no default route", "ip route"),
]


@pytest.mark.parametrize(("source", "target", "port", "changes", "cause", "mend"), [row[1:] for row in INBOUND],
                         ids=[row[0] for row in INBOUND])
def test_from_outside(source: Party, target: Party, port: int, changes: dict[str, Any], cause: str, mend: str) -> None:
    found = why(source, target, port, **changes)
    assert found.reachable is not bool(cause), found
    assert cause in found.cause
    assert mend in found.mend


def dropping(hook: str) -> Callable[[Packet], Obstacle | None]:
    return lambda packet: Obstacle("inet ufw", "fwd", "", "drop") if packet.hook == hook else None


@pytest.mark.parametrize(("source", "target", "port", "hook", "interface"), [
    (WEB, DB, 5432, "forward", "br-app"), (WEB, INTERNET, 0, "forward", "br-app"),
    (LAN, SERVED, 5432, "forward", "br-app"), (HOST, DB, 5432, "output", "br-app"),
])
def test_another_firewall_is_the_cause(source: Party, target: Party, port: int, hook: str, interface: str) -> None:
    found = why(source, target, port, stop=dropping(hook))
    assert not found.reachable
    assert "another program's firewall stops it: chain fwd of table inet ufw (its policy drop)" in found.cause
    assert interface in found.mend
    assert why(source, target, port, stop=dropping("none")).reachable


def test_a_firewall_before_the_host_itself() -> None:
    served = {"listeners": (Listener("tcp", "0.0.0.0", 22),)}
    assert why(LAN, HOST, 22, **served).reachable
    found = why(LAN, HOST, 22, stop=dropping("input"), **served)
    assert not found.reachable
    assert found.mend == "nft insert rule inet ufw fwd iifname eth0 tcp dport 22 accept"
    found = why(WEB, HOST, 22, stop=dropping("input"), **served)
    assert "iifname br-app tcp dport 22" in found.mend


def test_a_possible_stop_is_told_and_passed_over() -> None:
    found = why(WEB, DB, 5432, stop=lambda _: Obstacle("ip filter", "FORWARD", "", "drop", certain=False))
    assert found.reachable
    assert any(step.verdict == "unknown" and "may be stopped" in step.text for step in found.steps)


@pytest.mark.parametrize(("text", "parts"), [
    ("db", ("db", 0, "tcp")), ("db:80", ("db", 80, "tcp")), ("db:53/udp", ("db", 53, "udp")),
    ("192.0.2.1:80", ("192.0.2.1", 80, "tcp")), ("fd00::2", ("fd00::2", 0, "tcp")),
    ("[fd00::2]:80", ("fd00::2", 80, "tcp")), ("lan", ("lan", 0, "tcp")),
])
def test_ends_with_ports(text: str, parts: tuple[str, int, str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize("text", ["db:http", "db:0", "db:70000", "db:80/sctp"])
def test_ends_that_are_none(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid p"):
        split(text)
