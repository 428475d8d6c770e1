"""Other programs' tables, judged for a packet of ours: listings as libnftables prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from solva.networks.firewall import foreign
from solva.networks.firewall.matching import Packet

OUT = Packet("forward", "br-a", "eth0", "172.20.0.2", "203.0.113.7", "tcp", 443)
IN = Packet("forward", "eth0", "br-a", "203.0.113.7", "172.20.0.2", "tcp", 80, translated=True)


def meta(key: str, value: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"meta": {"key": key}}, "right": value}}


def table(*rules: tuple[str, list[dict[str, Any]]], policy: str = "accept", family: str = "ip", name: str = "filter",
          hook: str = "forward", sets: dict[str, list[Any]] | None = None) -> foreign.ForeignTable:
    """``rules``: (chain, expressions) in order; the chain "base" has the hook."""
    chains = dict.fromkeys(("base", *(chain for chain, _ in rules)))
    items: list[dict[str, Any]] = [{"metainfo": {}}, {"table": {"family": family, "name": name}}]
    items += [{"set": {"name": key, "elem": value}} for key, value in (sets or {}).items()]
    for chain in chains:
        base = {"type": "filter", "hook": hook, "prio": 0, "policy": policy} if chain == "base" else {}
        items.append({"chain": {"name": chain, **base}})
    for handle, (chain, parts) in enumerate(rules, 10):
        items.append({"rule": {"chain": chain, "handle": handle, "expr": parts}})
    texts = "\n".join(f"\t\trule {handle} # handle {handle}" for handle, _ in enumerate(rules, 10))
    return foreign.parse(json.dumps({"nftables": items}), texts)


def stopped(packet: Packet, *tables: foreign.ForeignTable) -> str:
    found = foreign.obstacle(tables, {}, packet)
    return "" if found is None else f"{'' if found.certain else 'maybe '}{found}"


def test_no_table_stops_nothing_and_an_accepting_one_neither() -> None:
    assert stopped(OUT) == ""
    assert stopped(OUT, table(("base", [{"counter": None}, {"accept": None}]))) == ""


def test_a_policy_stops_what_no_rule_accepts() -> None:
    closed = table(("base", [meta("iifname", "docker0"), {"accept": None}]), policy="drop")
    assert stopped(OUT, closed) == "chain base of table ip filter (its policy drop)"
    opened = table(("base", [meta("iifname", "br-*"), {"accept": None}]), policy="drop")
    assert stopped(OUT, opened) == ""
    assert stopped(IN, opened) != ""


def test_the_family_and_the_hook_matter() -> None:
    assert stopped(OUT, table(policy="drop", family="ip6")) == ""
    assert stopped(OUT, table(policy="drop", hook="input")) == ""
    assert stopped(OUT, table(policy="drop", family="inet")) != ""


def test_jumps_are_followed_and_come_back() -> None:
    walk = table(("base", [{"jump": {"target": "docker"}}]), ("docker", [meta("oifname", "docker0"), {"drop": None}]),
                 ("docker", [{"return": None}]), ("base", [meta("oifname", "eth0"), {"reject": {}}]))
    assert stopped(OUT, walk) == 'chain base of table ip filter (its rule "rule 13")'
    assert stopped(IN, walk) == ""


@pytest.mark.parametrize(("parts", "answer"), [
    ([{"limit": {"rate": 1, "per": "second"}}, {"drop": None}], "maybe"),
    ([{"xt": {"type": "match", "name": "owner"}}, {"accept": None}], "maybe"),
    ([{"xt": {"type": "match", "name": "comment"}}, {"accept": None}], ""),
])
def test_what_cannot_be_told_is_possible_never_certain(parts: list[dict[str, Any]], answer: str) -> None:
    policy = "accept" if {"drop": None} in parts else "drop"
    assert stopped(OUT, table(("base", parts), policy=policy)).partition(" ")[0] == answer


@pytest.mark.parametrize(("left", "right", "hit"), [
    ({"payload": {"protocol": "ip", "field": "saddr"}}, {"prefix": {"addr": "172.16.0.0", "len": 12}}, True),
    ({"payload": {"protocol": "ip", "field": "daddr"}},
     {"set": ["10.0.0.1", {"range": ["203.0.113.1", "203.0.113.9"]}]}, True),
    ({"payload": {"protocol": "tcp", "field": "dport"}}, {"range": [400, 500]}, True),
    ({"payload": {"protocol": "udp", "field": "dport"}}, 443, False),
    ({"payload": {"protocol": "tcp", "field": "dport"}}, "@web", True),
    ({"ct": {"key": "state"}}, ["established", "related"], False),
    ({"ct": {"key": "state"}}, ["new"], True),
    ({"meta": {"key": "l4proto"}}, "tcp", True),
    ({"meta": {"key": "l4proto"}}, {"set": ["udp", "sctp"]}, False),
])
def test_conditions(left: dict[str, Any], right: Any, hit: bool) -> None:
    rule = [{"match": {"op": "in" if isinstance(right, list) else "==", "left": left, "right": right}}, {"drop": None}]
    assert bool(stopped(OUT, table(("base", rule), sets={"web": [80, 443]}))) is hit


def test_a_verdict_map_is_looked_up() -> None:
    vmap = {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["br-a", {"drop": None}]]}}}
    assert "rule 10" in stopped(OUT, table(("base", [vmap])))
    assert stopped(IN, table(("base", [vmap]))) == ""


def test_mends_are_in_the_owners_terms() -> None:
    def stop(address: str, chain: str, owner: str = "") -> str:
        return foreign.mend(foreign.Obstacle(address, chain, "", "drop", owner=owner), "br-a")

    assert stop("inet firewalld", "filter_FORWARD").startswith("firewall-cmd ")
    assert stop("ip filter", "FORWARD", "ufw").startswith("ufw route allow in on br-a")
    assert stop("ip filter", "FORWARD") == ("iptables -I FORWARD -i br-a -j ACCEPT && "
                                            "iptables -I FORWARD -o br-a -j ACCEPT")
    assert stop("inet mine", "fwd").startswith("nft insert rule inet mine fwd iifname br-a accept")
    assert stop("filter (iptables-legacy)", "FORWARD").startswith("iptables-legacy -I FORWARD -i br-a")


@pytest.mark.parametrize(("address", "chain", "owner", "mend"), [
    ("ip filter", "INPUT", "", "iptables -I INPUT -i eth0 -p tcp --dport 22 -j ACCEPT"),
    ("ip filter", "INPUT", "ufw", "ufw allow in on eth0 to any port 22 proto tcp"),
    ("inet firewalld", "filter_INPUT", "firewalld",
     "firewall-cmd --permanent --add-port=22/tcp && firewall-cmd --reload"),
    ("inet mine", "entry", "", "nft insert rule inet mine entry iifname eth0 tcp dport 22 accept"),
    ("filter (iptables-legacy)", "INPUT", "", "iptables-legacy -I INPUT -i eth0 -p tcp --dport 22 -j ACCEPT"),
])
def test_the_host_is_opened_no_further_than_asked(address: str, chain: str, owner: str, mend: str) -> None:
    packet = Packet("input", "eth0", "", "203.0.113.7", "192.0.2.1", "tcp", 22)
    assert foreign.mend(foreign.Obstacle(address, chain, "", "drop", owner=owner), "eth0", packet) == mend


def test_ufw_is_known_by_its_chains() -> None:
    """Its FORWARD: everything through chains of its own, and a policy at last."""
    jumps = [("base", [{"counter": None}, {"jump": {"target": name}}]) for name in (
        "ufw-before-logging-forward", "ufw-before-forward", "ufw-after-forward", "ufw-reject-forward")]
    inner: list[tuple[str, list[dict[str, Any]]]] = [
        ("ufw-before-logging-forward", [{"limit": {"rate": 3, "per": "minute"}}, {"log": None}]),
        ("ufw-before-forward", [{"match": {"op": "in", "left": {"ct": {"key": "state"}},
                                           "right": ["established", "related"]}}, {"accept": None}]),
        ("ufw-before-forward", [meta("l4proto", "icmp"), {"accept": None}]),
        ("ufw-before-forward", [{"jump": {"target": "ufw-user-forward"}}]),
        ("ufw-user-forward", [meta("iifname", "br-b"), {"accept": None}]),
        ("ufw-after-forward", [{"return": None}]), ("ufw-reject-forward", [{"return": None}]),
    ]
    closed = table(*jumps, *inner, policy="drop")
    found = foreign.obstacle((closed,), {}, OUT)
    assert found is not None
    assert found.certain
    assert str(found) == "chain base of table ip filter (its policy drop, ufw)"
    assert foreign.mend(found, "br-a") == "ufw route allow in on br-a && ufw route allow out on br-a"
    allowed = table(*jumps, *inner, ("ufw-user-forward", [meta("iifname", "br-a"), {"accept": None}]), policy="drop")
    assert foreign.obstacle((allowed,), {}, OUT) is None


def test_the_old_iptables_policy_is_possible() -> None:
    found = foreign.obstacle((), {4: {"FORWARD": "DROP"}}, OUT)
    assert found is not None
    assert not found.certain


