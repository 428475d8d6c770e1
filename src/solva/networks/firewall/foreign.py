"""Rules of others: whether a packet of ours would pass them. Pure; other tables are read here and written nowhere.

A drop in any table is final, whatever ours accepts. A ruleset is judged for one packet in three values: a condition
that cannot be told from here (a rate limit, a mark, an extension of iptables) is unknown, and then so is what hangs
on it: a verdict that may be wrong is called possible, never certain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from solva.networks.firewall import matching
from solva.networks.firewall.matching import Packet, Truth

Json: TypeAlias = dict[str, Any]
_HANDLE = re.compile(r"^\s*(.*?)\s*# handle (\d+)$")
_NETFILTER = ("inet", "ip", "ip6")
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Rule:
    """``text`` as nft prints it; ``parts`` the expressions."""

    text: str
    parts: tuple[Json, ...]


@dataclass(slots=True)
class Chain:
    """``hook`` "" for a chain that is only jumped to."""

    name: str
    hook: str = ""
    priority: int = 0
    policy: str = "accept"
    kind: str = ""
    rules: list[Rule] = field(default_factory=list)


@dataclass(slots=True)
class ForeignTable:
    """One table of somebody else's."""

    family: str
    name: str
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{self.family} {self.name}"

    @property
    def owner(self) -> str:
        """The program that keeps it, where it shows."""
        if self.name == "firewalld":
            return "firewalld"
        return "ufw" if any(name.startswith(("ufw-", "ufw6-")) for name in self.chains) else ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Where a packet is stopped. ``rule`` is empty for a chain's policy; ``certain`` False: it may be. ``legacy``: a
    policy of the old iptables, whose rules are not read: whatever they accept, it was not made for our networks.
    ``owner``: ufw or firewalld, where it shows."""

    table: str
    chain: str
    rule: str
    verdict: str
    certain: bool = True
    legacy: bool = False
    owner: str = ""

    def __str__(self) -> str:
        what = f'its rule "{self.rule}"' if self.rule else f"its policy {self.verdict}"
        return f"chain {self.chain} of table {self.table} ({what}{f', {self.owner}' if self.owner else ''})"


def parse(listing: str, texts: str) -> ForeignTable:
    """``listing``: ``list table`` as JSON; ``texts``: the same as text with handles, for the rules' wording."""
    wording = {int(found[2]): found[1] for line in texts.splitlines() if (found := _HANDLE.match(line))
               and not found[1].startswith(("chain ", "table ", "set ", "map "))}
    table = ForeignTable("", "")
    for item in json.loads(listing)["nftables"]:
        (kind, value), = item.items()
        if kind == "table":
            table.family, table.name = value["family"], value["name"]
        elif kind == "chain":
            priority = value.get("prio", 0)
            table.chains[value["name"]] = Chain(
                value["name"], value.get("hook", ""), priority if isinstance(priority, int) else 0,
                value.get("policy", "accept"), value.get("type", ""))
        elif kind in ("set", "map"):
            table.sets[value["name"]] = value.get("elem", [])
        elif kind == "rule" and value["chain"] in table.chains:
            text = wording.get(value.get("handle", 0), f"handle {value.get('handle')}")
            table.chains[value["chain"]].rules.append(Rule(text, tuple(value.get("expr", ()))))
    return table


def obstacle(tables: Sequence[ForeignTable], legacy: Mapping[int, Mapping[str, str]],
             packet: Packet) -> Obstacle | None:
    """What stops ``packet``: a certain stop before a possible one, None when it passes.

    ``legacy``: the old iptables' policies by IP version and chain.
    """
    found: list[Obstacle] = []
    for table, chain in _hooked(tables, packet):
        stop = _judge(table, chain, packet)
        if stop is not None:
            found.append(stop)
    chain_name = {"forward": "FORWARD", "input": "INPUT", "output": "OUTPUT"}.get(packet.hook, "")
    if legacy.get(packet.version, {}).get(chain_name) == "DROP":
        program = "ip6tables" if packet.version == 6 else "iptables"
        found.append(Obstacle(f"filter ({program}-legacy)", chain_name, "", "drop",
                              certain=False, legacy=True))
    return next((each for each in found if each.certain), found[0] if found else None)


def _hooked(tables: Sequence[ForeignTable], packet: Packet) -> Iterator[tuple[ForeignTable, Chain]]:
    families = ("inet", "ip" if packet.version == 4 else "ip6")
    every = [(chain.priority, table, chain) for table in tables if table.family in families
             for chain in table.chains.values() if chain.hook == packet.hook and chain.kind in ("filter", "route")]
    for _, table, chain in sorted(every, key=lambda row: row[0]):
        yield table, chain


class _Walk:
    """One packet through one base chain. ``maybe``: the first possible stop; ``saved``: a possible accept before."""

    def __init__(self, table: ForeignTable, packet: Packet) -> None:
        self.table = table
        self.packet = packet
        self.maybe: Obstacle | None = None
        self.saved = False

    def run(self, chain: Chain, certain: bool, depth: int) -> str:
        """accept, drop (then ``self.stop``), or return."""
        for rule in chain.rules:
            truth = matching.all_true(rule.parts, rule.text, self.packet, self.table.sets)
            if truth is Truth.NO:
                continue
            sure = certain and truth is Truth.YES
            for verdict, target in matching.verdicts(rule.parts, self.packet, self.table.sets):
                ended = self._apply(chain, rule, verdict, target, sure, depth)
                if ended:
                    return ended
        return "return"

    def _apply(self, chain: Chain, rule: Rule, verdict: str, target: str, sure: bool, depth: int) -> str:
        if verdict == "accept":
            if sure:
                return "accept"
            self.saved = True
        elif verdict in ("drop", "reject"):
            stop = Obstacle(self.table.address, chain.name, rule.text, verdict, sure and not self.saved,
                            owner=self.table.owner)
            if stop.certain:
                self.maybe = stop
                return "drop"
            self.maybe = self.maybe or stop
            return "accept" if sure else ""
        elif verdict in ("jump", "goto") and target in self.table.chains and depth < _DEPTH:
            ended = self.run(self.table.chains[target], sure, depth + 1)
            if ended != "return" and sure:
                return ended
            if verdict == "goto" and sure:
                return "return"
        elif verdict == "return" and sure:
            return "return"
        return ""


def _judge(table: ForeignTable, chain: Chain, packet: Packet) -> Obstacle | None:
    walk = _Walk(table, packet)
    ended = walk.run(chain, True, 0)
    if ended == "return" and chain.policy == "drop":
        stop = Obstacle(table.address, chain.name, "", "drop", not walk.saved, owner=table.owner)
        return stop if stop.certain or walk.maybe is None else walk.maybe
    return walk.maybe


def mend(stop: Obstacle, interface: str, packet: Packet | None = None) -> str:
    """One thing to do about it, in the terms of whoever owns the table.

    ``interface``: our bridge, both ways of which are to pass; of a ``packet`` to or from the host itself only its port.
    """
    if packet is not None and packet.hook != "forward":
        return _host_mend(stop, interface, packet)
    if stop.owner == "firewalld" or stop.table.endswith(" firewalld"):
        return f"firewall-cmd --permanent --zone=trusted --add-interface={interface} && firewall-cmd --reload"
    if stop.owner == "ufw":
        return f"ufw route allow in on {interface} && ufw route allow out on {interface}"
    program = _program(stop)
    if program:
        chain = "FORWARD" if stop.chain.startswith("DOCKER") else stop.chain
        return f"{program} -I {chain} -i {interface} -j ACCEPT && {program} -I {chain} -o {interface} -j ACCEPT"
    return (f"nft insert rule {stop.table} {stop.chain} iifname {interface} accept && "
            f"nft insert rule {stop.table} {stop.chain} oifname {interface} accept")


def _program(stop: Obstacle) -> str:
    """The iptables that a chain was made with, "" for nft."""
    family, _, name = stop.table.partition(" ")
    if "legacy" in stop.table:
        return stop.table.partition("(")[2].rstrip(")")
    if name == "filter" and family in ("ip", "ip6") and stop.chain.isupper():
        return "iptables" if family == "ip" else "ip6tables"
    return ""


def _host_mend(stop: Obstacle, interface: str, packet: Packet) -> str:
    """The port of one packet to the host, or from it, on one interface: no more than was asked about."""
    inward = packet.hook == "input"
    port = packet.port
    if stop.owner == "ufw":
        return f"ufw allow {'in' if inward else 'out'} on {interface} to any" + (
            f" port {port} proto {packet.proto}" if port else "")
    if stop.owner == "firewalld" and inward and port:
        return f"firewall-cmd --permanent --add-port={port}/{packet.proto} && firewall-cmd --reload"
    program = _program(stop)
    if program:
        match = f" -p {packet.proto} --dport {port}" if port else ""
        return f"{program} -I {stop.chain} {'-i' if inward else '-o'} {interface}{match} -j ACCEPT"
    match = f" {packet.proto} dport {port}" if port else ""
    return f"nft insert rule {stop.table} {stop.chain} {'iifname' if inward else 'oifname'} {interface}{match} accept"


def addresses(version: int) -> tuple[str, str]:
    """A machine of the outside, as an example to judge rules with: (address, prefix)."""
    return ("203.0.113.7", "203.0.113.0/24") if version == 4 else ("2001:db8::7", "2001:db8::/32")


