"""Messages and zones without a socket; dnslib is the judge of the bytes."""

from __future__ import annotations

from typing import Any

import pytest
from dnslib import DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from solva.dns import message, zones


def packet(name: str, kind: str = "A") -> bytes:
    return bytes(DNSRecord.question(name, kind).pack())


@given(st.binary(max_size=600))
def test_any_bytes_are_a_query_or_malformed(data: bytes) -> None:
    try:
        query = message.Query(data)
    except message.Malformed:
        return
    assert message.HEADER <= query.end <= len(data)
    assert len(message.answer(query, [])) <= 12 + 259 + 11
    assert query.text


@given(st.binary(max_size=60))
def test_any_tail_behind_a_question_is_taken_or_malformed(tail: bytes) -> None:
    try:
        message.Query(packet("db")[:6] + b"\0\1\0\1\0\2" + packet("db")[12:] + tail)
    except message.Malformed:
        return


def test_an_answer_reads_back() -> None:
    query = message.Query(packet("Db.Example"))
    assert query.name == b"db.example"
    read = DNSRecord.parse(message.answer(query, [message.record(message.A, bytes((10, 0, 0, 2)))]))
    assert str(read.short()) == "10.0.0.2"
    assert read.rr[0].ttl == 600
    assert str(read.q.qname) == "Db.Example."


def place(network: str, ipv4: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"network_id": f"id-{network}", "network_name": network, "ipv4": ipv4, "names": list(names), **more}


def sandbox(zone: zones.Zones, name: str, *places: dict[str, Any]) -> zones.Sandbox:
    return zone.put({"id": name, "netns": "/none", "endpoints": list(places)})


def test_a_name_is_split_at_every_dot() -> None:
    zone = zones.Zones()
    asker = sandbox(zone, "a", place("c.d", "10.0.0.2", "a"), place("net", "10.1.0.2", "a"))
    sandbox(zone, "b", place("c.d", "10.0.0.3", "b", "x.y"))
    for name in (b"b", b"b.c.d", b"x.y", b"x.y.c.d"):
        assert zones.lookup(asker, name, v6=False) == [bytes((10, 0, 0, 3))], name
    assert zones.lookup(asker, b"b", v6=True) == []
    assert zones.lookup(asker, b"b.net", v6=False) is None


def test_a_link_hides_the_networks_own_name_from_its_owner_only() -> None:
    zone = zones.Zones()
    asker = sandbox(zone, "a", place("n", "10.0.0.2", "a", links={"db": "mongo"}))
    other = sandbox(zone, "m", place("n", "10.0.0.3", "mongo"))
    sandbox(zone, "d", place("n", "10.0.0.4", "db"))
    assert zones.lookup(asker, b"db", v6=False) == [bytes((10, 0, 0, 3))]
    assert zones.lookup(other, b"db", v6=False) == [bytes((10, 0, 0, 4))]


def test_an_address_given_again_keeps_its_new_name() -> None:
    zone = zones.Zones()
    asker = sandbox(zone, "a", place("n", "10.0.0.2", "a"))
    sandbox(zone, "old", place("n", "10.0.0.3", "old"))
    sandbox(zone, "new", place("n", "10.0.0.3", "new"))
    zone.remove("old")
    assert zones.reverse(asker, b"3.0.0.10.in-addr.arpa") == b"new.n"


@pytest.mark.parametrize("state", [{}, {"id": "x"}, {"id": "x", "netns": "/n", "endpoints": [{"ipv4": "no"}]},
                                   {"id": "x", "netns": "/n", "upstreams": [{"address": "nonsense"}]}])
def test_a_damaged_state_changes_nothing(state: dict[str, Any]) -> None:
    zone = zones.Zones()
    with pytest.raises(ValueError, match="not a sandbox's names"):
        zone.put(state)
    assert not zone.sandboxes
