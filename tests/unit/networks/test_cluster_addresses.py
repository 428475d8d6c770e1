"""Addresses of overlay networks: which one comes next, whatever others have taken."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from solva.networks.ipam.cluster import following
from solva.networks.model import Pool

POOL = Pool("10.0.1.0/29", "10.0.1.1", aux={"nas": "10.0.1.4"})
FREE = ["10.0.1.2", "10.0.1.3", "10.0.1.5", "10.0.1.6"]


def test_serial_next_so_that_a_freed_one_does_not_come_back_at_once() -> None:
    assert following(POOL, set(), "") == "10.0.1.2"
    assert following(POOL, set(), "10.0.1.2") == "10.0.1.3"
    assert following(POOL, set(), "10.0.1.3") == "10.0.1.5"
    assert following(POOL, {"10.0.1.2"}, "10.0.1.6") == "10.0.1.3"
    assert following(POOL, set(FREE), "10.0.1.3") is None
    assert following(Pool("10.0.0.0/16", "10.0.0.1", ip_range="10.0.7.0/30"), set(), "") == "10.0.7.0"
    assert following(Pool("fd00::/64", "fd00::1"), set(), "") == "fd00::2"


@given(st.sets(st.sampled_from(FREE)), st.sampled_from(["", *FREE, "10.9.9.9"]))
def test_never_a_taken_one_and_always_one_while_there_is(taken: set[str], last: str) -> None:
    found = following(POOL, taken, last)
    if taken == set(FREE):
        assert found is None
    else:
        assert found in set(FREE) - taken
        assert ipaddress.ip_address(found) in ipaddress.ip_network(POOL.subnet)
