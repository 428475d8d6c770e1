"""The cluster's state: whatever the order in which it is told, it is the store's; and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from solva.cluster import plane, rows
from solva.cluster.etcd import Batch, Change, Row, Snapshot
from solva.cluster.rows import AddressRow, EndpointRow, HostRow, NetworkRow
from solva.cluster.state import State, Tables
from solva.kernel import vxlan
from solva.kernel.netlink import Request
from solva.kernel.vxlan import EVERYBODY, Forward, Neighbour

HOSTS = ("here", "there", "far")
NET = "net"


@dataclass
class Store:
    """An etcd of a dictionary, with a history."""

    rows: dict[str, Row] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    revision: int = 1

    def put(self, key: str, value: str) -> None:
        self.revision += 1
        before = self.rows.get(key)
        row = Row(key, value, before.created if before else self.revision, self.revision)
        self.rows[key] = row
        self.history.append(Change(key, row, self.revision))

    def delete(self, key: str) -> None:
        if self.rows.pop(key, None) is not None:
            self.revision += 1
            self.history.append(Change(key, None, self.revision))

    def snapshot(self) -> Snapshot:
        return Snapshot(self.revision, tuple(self.rows.values()))

    def since(self, revision: int) -> list[Change]:
        return [change for change in self.history if change.revision >= revision]


def facts(state: State) -> tuple[object, ...]:
    return state.hosts, state.networks, state.endpoints, state.addresses


def fresh(store: Store) -> State:
    state = State()
    state.replace(store.snapshot())
    return state


keys = st.one_of(
    st.sampled_from([rows.host_key(host) for host in HOSTS]), st.just(rows.network_key(NET)),
    st.integers(1, 4).map(lambda n: rows.endpoint_key(NET, f"ep{n}")),
    st.integers(2, 5).map(lambda n: rows.address_key(NET, f"10.0.1.{n}")),
    st.sampled_from([f"{rows.ROOT}allocation", f"{rows.CURSORS}{NET}/4", f"{rows.ROOT}strange/key", rows.ROOT]))


@st.composite
def values(draw: st.DrawFn, key: str) -> str:
    host = draw(st.sampled_from(HOSTS))
    number = draw(st.integers(2, 5))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["", "{", "[]", '{"host": 5}']))      # somebody else's nonsense
    if key.startswith(rows.HOSTS):
        return rows.text(HostRow(address=f"192.0.2.{number}"))
    if key.startswith(rows.NETWORKS):
        return rows.text(NetworkRow(name="n", vni=4097, flood=number % 2 == 0))
    if key.startswith(rows.ENDPOINTS):
        return rows.text(EndpointRow(host=host, mac=f"02:42:0a:00:01:0{number}", ipv4=f"10.0.1.{number}", names=("x",)))
    return rows.text(AddressRow(host=host))


@st.composite
def stores(draw: st.DrawFn) -> Store:
    store = Store()
    for _ in range(draw(st.integers(0, 25))):
        key = draw(keys)
        if draw(st.booleans()) or key not in store.rows:
            store.put(key, draw(values(key)))
        else:
            store.delete(key)
    return store


@given(stores(), st.data())
def test_any_order_of_snapshots_and_events_ends_with_the_store(store: Store, data: st.DataObject) -> None:
    """Events in pieces, told twice, a watch begun anew from an earlier revision, a snapshot in the middle."""
    state = State()
    state.replace(Snapshot(1))
    for _ in range(data.draw(st.integers(0, 6))):
        step = data.draw(st.sampled_from(["piece", "replay", "snapshot"]))
        if step == "snapshot":
            revision = data.draw(st.integers(state.revision, store.revision))
            past = Store()
            for change in store.history:
                if change.revision <= revision:
                    past.rows.pop(change.key, None)
                    if change.row is not None:
                        past.rows[change.key] = change.row
            past.revision = revision
            state.replace(past.snapshot())
            continue
        first = state.revision + 1 if step == "piece" else data.draw(st.integers(1, state.revision + 1))
        ahead = store.since(first)
        state.apply(Batch(tuple(ahead[:data.draw(st.integers(0, len(ahead)))])))
    state.apply(Batch(tuple(store.since(state.revision + 1))))
    assert facts(state) == facts(fresh(store))
    for host in HOSTS:
        assert state.tables(NET, host) == fresh(store).tables(NET, host)


@given(stores())
def test_tables_lead_to_other_hosts_only(store: Store) -> None:
    state = fresh(store)
    for here in HOSTS:
        tables = state.tables(NET, here)
        addresses = [entry.address for entry in tables.neighbours]
        assert len(addresses) == len(set(addresses))
        macs = [entry.mac for entry in tables.forwards if entry.mac != EVERYBODY]
        assert len(macs) == len(set(macs))
        assert {entry.mac for entry in tables.neighbours} <= set(macs)
        elsewhere = {row.address for host, row in state.hosts.items() if host != here}
        assert {entry.host for entry in tables.forwards} <= elsewhere
        mine = {placed.row.ipv4 for placed in state.of_network(NET) if placed.row.host == here}
        assert not mine & set(addresses)


class FakeTables:
    """A VXLAN link's tables, changed by requests as the kernel does it."""

    def __init__(self, have: Tables) -> None:
        self.forwards = set(have.forwards)
        self.neighbours = {entry.address: entry.mac for entry in have.neighbours}

    def execute(self, request: Request) -> None:
        what = request.what.split()
        if what[0] == "forward":
            entry = Forward(what[1], what[3])
            if entry.mac != EVERYBODY:
                self.forwards = {other for other in self.forwards if other.mac != entry.mac}
            self.forwards.add(entry)
        elif what[0] == "no":
            self.forwards.remove(Forward(what[3], what[5]))
        elif what[0] == "set":
            self.neighbours[what[2]] = what[3]
        else:
            del self.neighbours[what[2]]

    def tables(self) -> Tables:
        return Tables(frozenset(self.forwards), frozenset(Neighbour(*pair) for pair in self.neighbours.items()))


addresses = st.integers(2, 6).map(lambda n: f"10.0.1.{n}")
macs = st.integers(2, 6).map(lambda n: f"02:42:0a:00:01:0{n}")
underlay = st.integers(2, 4).map(lambda n: f"192.0.2.{n}")
tables = st.builds(
    lambda forwards, everybody, neighbours: Tables(
        frozenset(Forward(*pair) for pair in forwards.items()) | {Forward(EVERYBODY, host) for host in everybody},
        frozenset(Neighbour(*pair) for pair in neighbours.items())),
    st.dictionaries(macs, underlay), st.sets(underlay), st.dictionaries(addresses, macs))


@given(tables, tables)
def test_the_difference_makes_one_into_the_other(have: Tables, want: Tables) -> None:
    kernel = FakeTables(have)
    for request in plane.difference(7, have, want):
        kernel.execute(request)
    assert kernel.tables() == want
    assert plane.difference(7, want, want) == []


def test_the_older_of_two_that_claim_one_address_is_believed() -> None:
    store = Store()
    for number, host in enumerate(("there", "far"), 2):
        store.put(rows.host_key(host), rows.text(HostRow(address=f"192.0.2.{number}")))
        store.put(rows.endpoint_key(NET, f"ep{9 - number}"),
                  rows.text(EndpointRow(host=host, mac="02:42:0a:00:01:02", ipv4="10.0.1.2")))
    assert fresh(store).tables(NET, "here") == Tables(
        frozenset({Forward("02:42:0a:00:01:02", "192.0.2.2")}), frozenset({Neighbour("10.0.1.2", "02:42:0a:00:01:02")}))
    assert vxlan.PORT == 4789
