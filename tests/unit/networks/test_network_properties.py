"""Properties that hold whatever is asked: of address pools, of the rules and their differences, of ports kept over a
live change."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from solva.api.types.network import IpamPool
from solva.errors import SolvaError
from solva.networks import publish
from solva.networks.firewall import ruleset, table
from solva.networks.firewall.ruleset import BridgeRules, PortRule
from solva.networks.ipam.addresses import IPNetwork, overlapping
from solva.networks.ipam.base import PoolRequest
from solva.networks.ipam.default import DefaultIpam
from solva.networks.ipam.subnets import DEFAULT_SOURCES, unique_local
from solva.networks.model import Network, PortMapping, PublishedPort
from solva.networks.portmap.reserve import Claim

_GIVEN = st.sampled_from(["", "10.1.0.0/24", "10.1.0.128/25", "10.2.0.0/16", "172.18.0.0/16", "0.0.0.0/24", "/28",
                          "192.168.0.0/16"])
_STEP = st.tuples(st.booleans(), _GIVEN, st.booleans(), st.integers(0, 8))


@settings(deadline=None, max_examples=25)
@given(st.lists(_STEP, max_size=45))
def test_no_two_networks_and_no_two_endpoints_share_an_address(steps: list[tuple[bool, str, bool, int]]) -> None:
    routed: list[IPNetwork] = [ipaddress.ip_network("172.17.0.0/16"), ipaddress.ip_network("192.0.2.0/24")]

    async def routes() -> list[IPNetwork]:
        return routed

    async def body() -> None:
        ipam = DefaultIpam((*DEFAULT_SOURCES, unique_local("x")), routes)
        live: list[Network] = []
        for number, (create, subnet, six, endpoints) in enumerate(steps):
            if not create and live:
                await ipam.forget(live.pop(number % len(live)))
                continue
            request = PoolRequest(f"n{number}", f"n{number}", [IpamPool(subnet)] if subnet else [], ipv6=six,
                                  gateway=True)
            try:
                pools = await ipam.allocate(request)
            except SolvaError:
                continue
            network = Network(request.network_id, request.name, "bridge", number, enable_ipv6=six, pools=pools)
            mine = [ipaddress.ip_network(pool.subnet) for pool in pools]
            assert {part.version for part in mine} == ({4, 6} if six else {4})
            others = [ipaddress.ip_network(pool.subnet) for other in live for pool in other.pools]
            for pool, part in zip(pools, mine, strict=True):
                assert not overlapping(part, others)
                assert pool.given or not overlapping(part, routed)
                assert ipaddress.ip_address(pool.gateway) in part
            given_ = {pool.gateway for pool in pools}
            for _ in range(endpoints):
                address, prefix = await ipam.take(network, 4)
                assert address not in given_
                assert ipaddress.ip_interface(f"{address}/{prefix}").network in mine
                given_.add(address)
            live.append(network)

    asyncio.run(body())


_NAME = st.sampled_from([f"br-{letter}" for letter in "abcde"])
_RULES = st.builds(
    BridgeRules, interface=_NAME, subnet4=st.just("10.0.0.0/24"), subnet6=st.sampled_from(["", "fd00::/64"]),
    mode4=st.sampled_from(["nat", "nat-unprotected", "routed"]), mode6=st.sampled_from(["nat", "routed"]),
    internal=st.booleans(), icc=st.booleans(), masquerade=st.booleans(), source4=st.sampled_from(["", "192.0.2.7"]),
    trusted=st.sampled_from([(), ("eth0",), ("eth0", "eth1")]))
_PORTS = st.lists(st.builds(PortRule, proto=st.sampled_from(["tcp", "udp"]),
                            host_ip=st.sampled_from(["0.0.0.0", "127.0.0.1", "192.0.2.1"]),
                            host_port=st.integers(0, 3), address=st.sampled_from(["10.0.0.2", "10.0.1.3"]),
                            port=st.integers(1, 3)), max_size=8)


def _networks(rows: list[BridgeRules]) -> list[BridgeRules]:
    """One a name, each with a subnet of its own."""
    named = {row.interface: row for row in rows}
    return [replace(row, subnet4=f"10.0.{at}.0/24", subnet6=row.subnet6 and f"fd00:{at}::/64")
            for at, row in enumerate(named.values())]


class Kernel:
    """A table as text commands leave it: what the difference must come to."""

    def __init__(self, start: table.Table) -> None:
        self.chains = {name: list(chain.rules) for name, chain in start.chains.items()}
        self.sets = {name: dict(row.elements) for name, row in start.sets.items()}

    def run(self, text: str) -> None:
        for line in text.splitlines():
            verb, kind, _family, _table, name, *rest = line.split(" ", 5)
            body = rest[0] if rest else ""
            if kind == "chain" and verb == "add":
                assert name not in self.chains
                self.chains[name] = []
            elif kind == "chain" and verb == "flush":
                self.chains[name].clear()
            elif kind == "chain":
                used = [rule for rules in self.chains.values() for rule in rules]
                used += [value for row in self.sets.values() for value in row.values()]
                assert not any(each.endswith(f"jump {name}") for each in used), "a chain that is still jumped to"
                del self.chains[name]
            elif kind == "rule":
                self.chains[name].append(body)
            else:
                for element in body.strip("{} ").split(", "):
                    key, _, value = element.partition(" : ")
                    if verb == "add":
                        assert self.sets[name].get(key, value) == value, "an element that is there with another value"
                        self.sets[name][key] = value
                    else:
                        del self.sets[name][key]


@settings(deadline=None, max_examples=60)
@given(st.lists(_RULES, max_size=4), _PORTS, st.lists(_RULES, max_size=4), _PORTS)
def test_the_difference_leads_from_any_rules_to_any_others(
        old: list[BridgeRules], old_ports: list[PortRule], new: list[BridgeRules], new_ports: list[PortRule]) -> None:
    before = ruleset.build("solva", _networks(old), old_ports)
    after = ruleset.build("solva", _networks(new), new_ports, ("eth0",), ())
    kernel = Kernel(before)
    kernel.run(table.difference(before, after))
    assert kernel.chains == {name: list(chain.rules) for name, chain in after.chains.items()}
    assert kernel.sets == {name: dict(row.elements) for name, row in after.sets.items()}
    assert table.difference(after, after) == ""


@settings(deadline=None)
@given(st.lists(_RULES, max_size=4), _PORTS)
def test_every_jump_leads_somewhere_and_nothing_internal_is_masqueraded(
        rows: list[BridgeRules], ports: list[PortRule]) -> None:
    networks = _networks(rows)
    built = ruleset.build("solva", networks, ports)
    for text in [rule for chain in built.chains.values() for rule in chain.rules] + [
            value for row in built.sets.values() for value in row.elements.values()]:
        if "jump " in text:
            assert text.rpartition("jump ")[2] in built.chains
    for network in networks:
        chain = built.chains[f"leave4_{network.interface}"]
        assert network.internal <= (not any(rule in ("masquerade",) or rule.startswith("snat") for rule in chain.rules))
        assert built.chains[f"into_{network.interface}"].rules[-1] == "drop"


_CLAIM = st.builds(
    Claim,
    mapping=st.builds(PortMapping, container_port=st.integers(80, 82), host_port=st.sampled_from([0, 8080, 8081])),
    hosts=st.sampled_from([("0.0.0.0",), ("::",), ("0.0.0.0", "::"), ()]), target=st.just("x"))


@given(st.lists(st.builds(PublishedPort, container_port=st.integers(80, 82), proto=st.just("tcp"),
                          host_ip=st.sampled_from(["0.0.0.0", "::"]), host_port=st.sampled_from([8080, 8081, 40000])),
                max_size=6, unique=True), st.lists(_CLAIM, max_size=4))
def test_over_a_live_change_a_port_is_kept_claimed_or_let_go(held: list[PublishedPort], wanted: list[Claim]) -> None:
    kept, missing, gone = publish.compare(held, wanted)
    assert sorted(kept + gone, key=str) == sorted(held, key=str)
    assert len(kept) + sum(len(claim.hosts) for claim in missing) == sum(len(claim.hosts) for claim in wanted)
