"""What plugins answer, taken apart: well typed and still nonsense. Understood, or refused with a text; nothing else."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solva.errors import InvalidParameter, SolvaError
from solva.kernel.links import mac_bytes
from solva.networks.drivers import remote_convert as convert
from solva.networks.model import Endpoint, EndpointConfig, Network, Pool, PortMapping, Sandbox, SandboxConfig
from solva.plugins import cni
from solva.plugins.errors import PluginError
from solva.plugins.network import EndpointInterface, InterfaceName, Joined, StaticRoute

ENDPOINT = Endpoint("e" * 64, "n" * 64, "net", ifname="eth0", mac="02:00:00:00:00:01", config=EndpointConfig("net"))
NETWORK = Network("n" * 64, "net", "lan", 1)
SANDBOX = Sandbox("s" * 64, "/netns", (), (), "", "", "", SandboxConfig("s" * 64, "box"))

T = TypeVar("T")


def outcome(call: Callable[[], T], kind: type[SolvaError] = PluginError) -> T | str:
    """What a call gives, or the text of the one error it may raise."""
    try:
        return call()
    except kind as error:
        return str(error)


addresses = st.sampled_from(["", "10.0.0.1", "fe80::1", "10.0.0.0/8", "::/0", "0.0.0.0/0", "10.0.0.5/24",
                             "fd00::5/64", "256.1.1.1", "10.0.0.1/99", "02:00:00:00:00:07",
                             "ff:ff:ff:ff:ff:ff"]) | st.text(max_size=12)


@given(st.builds(EndpointInterface, addresses, addresses, addresses), st.booleans())
@settings(max_examples=300, deadline=None)
def test_created_endpoints(answer: EndpointInterface, given_one: bool) -> None:
    told = EndpointInterface("10.9.0.2/24", "", "02:00:00:00:00:01") if given_one else EndpointInterface()
    found = outcome(lambda: convert.decided(ENDPOINT, told, answer))
    if isinstance(found, str):
        assert 0 < len(found) < 500
        return
    if given_one:
        assert not answer.Address
        assert not answer.MacAddress
    if found.ipv4:
        assert ipaddress.ip_interface(f"{found.ipv4}/{found.prefix4}").version == 4
    if found.ipv6:
        assert ipaddress.ip_interface(f"{found.ipv6}/{found.prefix6}").version == 6
    if found.mac:
        assert not mac_bytes(found.mac)[0] & 1


@given(st.builds(Joined, Gateway=addresses, GatewayIPv6=addresses, DisableGatewayService=st.booleans(),
                 StaticRoutes=st.lists(st.builds(StaticRoute, addresses, st.integers(-1, 2), addresses), max_size=3)),
       st.booleans())
@settings(max_examples=300, deadline=None)
def test_ways(joined: Joined, internal: bool) -> None:
    record = Network("n" * 64, "net", "lan", 1, internal=internal)
    found = outcome(lambda: convert.ways(joined, record))
    if isinstance(found, str):
        assert 0 < len(found) < 500
        return
    for hop, version in ((found.gateway4, 4), (found.gateway6, 6)):
        assert not hop or ipaddress.ip_address(hop).version == version
    for route in found.routes:
        target = ipaddress.ip_network(route.destination)
        assert target.prefixlen
        assert not route.gateway or ipaddress.ip_address(route.gateway).version == target.version
    out = found.gateway4 or found.gateway6 or found.device_route
    assert found.needs_gateway == (not internal and not out and not joined.DisableGatewayService)
    assert not (internal and out)


@given(st.builds(InterfaceName, st.just("x"), st.text(max_size=20), st.text(max_size=20)))
@settings(max_examples=200, deadline=None)
def test_interface_names(names: InterfaceName) -> None:
    found = outcome(lambda: convert.interface_name(names, ENDPOINT, SANDBOX))
    if not found.startswith("failed to set interface name: "):
        assert 0 < len(found.encode()) < 16
        assert found.isprintable()
        assert not set(found) & set("/:% ")


def test_a_static_default_route_is_a_way_out() -> None:
    found = convert.ways(Joined(StaticRoutes=[StaticRoute("0.0.0.0/0", 0, "10.0.0.1"), StaticRoute("10.7.0.0/16", 1),
                                              StaticRoute("10.6.0.0/16", 0, "10.0.0.9")]), NETWORK)
    assert (found.gateway4, found.needs_gateway) == ("10.0.0.1", False)
    assert [(route.destination, route.gateway) for route in found.routes] == [
        ("10.7.0.0/16", ""), ("10.6.0.0/16", "10.0.0.9")]
    assert convert.ways(Joined(StaticRoutes=[StaticRoute("::/0", 1)]), NETWORK).device_route


def test_requests() -> None:
    record = Network("n" * 64, "net", "lan", 1, internal=True, options={"a": "b"}, pools=(
        Pool("10.1.0.0/24", "10.1.0.1", aux={"x": "10.1.0.9"}), Pool("fd00::/64", data={convert.SPACE: "mine"})))
    assert convert.network_options(record)["com.docker.network.internal"] is True
    four, six = convert.ipam_data(record, 4), convert.ipam_data(record, 6)
    assert (four[0].AddressSpace, four[0].Gateway, four[0].AuxAddresses) == ("LocalDefault", "10.1.0.1/24",
                                                                             {"x": "10.1.0.9/24"})
    assert (six[0].AddressSpace, six[0].Gateway) == ("mine", "")
    assert convert.ipam_data(NETWORK, 4)[0].Pool == "0.0.0.0/0"      # null address management
    assert convert.ipam_data(NETWORK, 6) == []
    box = Sandbox("s" * 64, "/netns", (), (), "", "", "", SandboxConfig("s" * 64, "box", ports=(
        PortMapping(53, "udp", "::1", 5000, 5010),)))
    assert convert.port_options(box)["com.docker.network.portmap"] == [
        {"Proto": 17, "IP": "", "Port": 53, "HostIP": "::1", "HostPort": 5000, "HostPortEnd": 5010}]


json_values = st.recursive(st.none() | st.booleans() | st.integers() | addresses, lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["ips", "address", "gateway", "interface", "interfaces", "sandbox", "mac", "routes", "dst", "gw", "ip4", "ip6",
         "ip", "plugins", "type", "name", "cniVersion", "capabilities"]), inner, max_size=4), max_leaves=15)


@given(st.dictionaries(st.sampled_from(["ips", "interfaces", "routes", "ip4", "ip6", "dns"]), json_values, max_size=4))
@settings(max_examples=300, deadline=None)
def test_cni_results(result: dict[str, Any]) -> None:
    found = outcome(lambda: cni.parsed(result))
    if isinstance(found, str):
        assert "malformed" in found
        return
    for ip, prefix, gateway in found.addresses:
        ipaddress.ip_interface(f"{ip}/{prefix}")
        assert not gateway or ipaddress.ip_address(gateway)


@given(st.text(max_size=60) | json_values.map(json.dumps) | st.dictionaries(
    st.sampled_from(["plugins", "type", "name", "cniVersion"]), json_values, max_size=4).map(json.dumps))
@settings(max_examples=300, deadline=None)
def test_cni_configurations(text: str) -> None:
    found = outcome(lambda: cni.parse(text, "FILE"), InvalidParameter)
    if isinstance(found, str):
        assert found.startswith("FILE: ")
        return
    assert found.plugins
    assert all(isinstance(plugin["type"], str) for plugin in found.plugins)


@pytest.mark.parametrize(("result", "addresses", "routes", "mac"), [
    ({"cniVersion": "1.0.0", "interfaces": [{"name": "br"}, {"name": "v"}, {"name": "eth0", "mac": "02:00:00:00:00:07",
                                                                            "sandbox": "/x"}],
      "ips": [{"address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 2},
              {"address": "10.0.0.9/24", "interface": 0}],
      "routes": [{"dst": "0.0.0.0/0"}]}, (("10.0.0.2", 24, "10.0.0.1"),), (("0.0.0.0/0", ""),), "02:00:00:00:00:07"),
    ({"ip4": {"ip": "10.0.0.2/24", "gateway": "10.0.0.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.0.0.1"}]}},
     (("10.0.0.2", 24, "10.0.0.1"),), (("0.0.0.0/0", "10.0.0.1"),), ""),
    ({}, (), (), ""),
])
def test_cni_results_of_all_versions(result: Any, addresses: Any, routes: Any, mac: str) -> None:
    assert cni.parsed(result) == cni.Result(addresses, routes, mac)
