"""Address management: serial-next, never twice, back after release."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solva.errors import Forbidden
from solva.networks.ipam import subnets
from solva.networks.ipam.addresses import Addresses


@given(st.lists(st.booleans(), max_size=60), st.integers(min_value=24, max_value=29))
def test_an_address_is_never_given_twice(steps: list[bool], prefix: int) -> None:
    subnet = ipaddress.ip_network(f"10.1.2.0/{prefix}")
    addresses = Addresses(subnet)
    live: list[str] = []
    for take in steps:
        if take:
            found = addresses.next()
            if found is None:
                assert len(live) == subnet.num_addresses - 2
                continue
            assert found not in live
            assert ipaddress.ip_address(found) in list(subnet.hosts())
            live.append(found)
        elif live:
            addresses.release(live.pop(0))
    assert addresses.used() == len(live)


def test_a_freed_address_waits_its_turn() -> None:
    addresses = Addresses(ipaddress.ip_network("10.0.0.0/29"))
    first = addresses.next()
    assert first == "10.0.0.1"
    addresses.release(first)
    assert addresses.next() == "10.0.0.2"


def test_a_range_narrows_only_what_is_chosen() -> None:
    addresses = Addresses(ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("10.0.0.128/25"))
    addresses.take("10.0.0.5")
    assert addresses.next() == "10.0.0.128"
    with pytest.raises(Forbidden, match="Address already in use"):
        addresses.take("10.0.0.5")


def test_default_pools_skip_what_is_routed() -> None:
    taken = [ipaddress.ip_network("172.16.0.0/14"), ipaddress.ip_network("172.20.0.0/16")]
    assert str(subnets.choose(subnets.DEFAULT_SOURCES, 4, taken)) == "172.21.0.0/16"
    everything = [ipaddress.ip_network("172.16.0.0/12"), ipaddress.ip_network("192.168.0.0/16")]
    assert subnets.choose(subnets.DEFAULT_SOURCES, 4, everything) is None
