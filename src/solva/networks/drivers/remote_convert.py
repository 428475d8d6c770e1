"""Between the engine's values and those of a plugin, which are believed only as far as they can be. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from typing import Any

from solva.kernel import links
from solva.networks import wishes
from solva.networks.drivers.base import Interface
from solva.networks.model import Endpoint, EndpointConfig, Network, Route, Sandbox
from solva.plugins import network as wire
from solva.plugins.errors import PluginError
from solva.plugins.network import EndpointInterface, IpamData, Joined

SPACE = "address_space"      # in Pool.data
_NAME = re.compile(r"[A-Za-z0-9_.@-]+\Z")
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


# -- what goes to a plugin


def network_options(record: Network) -> dict[str, Any]:
    """Options of CreateNetwork."""
    options: dict[str, Any] = {wire.ENABLE4: record.enable_ipv4, wire.ENABLE6: record.enable_ipv6,
                               wire.GENERIC: dict(record.options)}
    if record.internal:
        options[wire.INTERNAL] = True
    return options


def ipam_data(record: Network, version: int) -> list[IpamData]:
    """The subnets of an IP version; without any, what Docker's null address management says."""
    rows = []
    for pool in record.pools:
        if (":" in pool.subnet) == (version == 6):
            prefix = pool.subnet.rpartition("/")[2]
            rows.append(IpamData(pool.data.get(SPACE, "LocalDefault"), pool.subnet,
                                 f"{pool.gateway}/{prefix}" if pool.gateway else "",
                                 {name: f"{address}/{prefix}" for name, address in pool.aux.items()}))
    if not record.pools and (record.enable_ipv4 if version == 4 else record.enable_ipv6):
        rows.append(IpamData("null", "0.0.0.0/0" if version == 4 else "::/0"))
    return rows


def port_options(sandbox: Sandbox) -> dict[str, Any]:
    """Ports that are to be published."""
    exposed, mapped = [], []
    for port in sandbox.config.ports:
        number = _PROTOCOLS.get(port.proto, 0)
        exposed.append({"Proto": number, "Port": port.container_port})
        mapped.append({"Proto": number, "IP": "", "Port": port.container_port, "HostIP": port.host_ip,
                       "HostPort": port.host_port, "HostPortEnd": port.host_port_end or port.host_port})
    return {wire.EXPOSED: exposed, wire.PORTMAP: mapped}


# -- what comes from a plugin


def decided(endpoint: Endpoint, told: EndpointInterface, answer: EndpointInterface) -> Endpoint:
    """PluginError for what was given and is answered all the same, and for what is no address."""
    for version, key in ((4, "Address"), (6, "AddressIPv6")):
        text, given = getattr(answer, key), getattr(told, key)
        if not text:
            continue
        if given:
            raise PluginError(f"driver modified interface address: endpoint interface IP present ({given}). Cannot be "
                              f"modified with ({text[:100]}).")
        found = _interface(text)
        if found.version != version:
            raise PluginError(f"{key} is {text}, which is no IPv{version} address")
        prefix = found.network.prefixlen
        endpoint = replace(endpoint, ipv4=str(found.ip), prefix4=prefix) if version == 4 else replace(
            endpoint, ipv6=str(found.ip), prefix6=prefix)
    if not answer.MacAddress:
        return replace(endpoint, mac=told.MacAddress)
    if told.MacAddress:
        raise PluginError(f"driver modified interface MAC address: endpoint interface MAC present ({told.MacAddress}). "
                          f"Cannot be modified with ({answer.MacAddress[:100]}).")
    try:
        packed = links.mac_bytes(answer.MacAddress)
    except ValueError as error:
        raise PluginError(str(error)) from None
    if packed[0] & 1 or not any(packed):
        raise PluginError(f"MAC address {answer.MacAddress} is none that an interface can have")
    return replace(endpoint, mac=packed.hex(":"))


def _interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        if "/" in text:
            return ipaddress.ip_interface(text)
    except ValueError:
        pass
    raise PluginError(f"invalid CIDR address: {text[:100]}")


def interface_name(names: wire.InterfaceName, endpoint: Endpoint, sandbox: Sandbox) -> str:
    """The user's, else the plugin's, else the first free one of the plugin's prefix."""
    if endpoint.data:
        return endpoint.ifname
    if endpoint.config.driver_opts.get(wishes.IFNAME_OPTION):
        return endpoint.ifname
    wanted = names.DstName or names.DstPrefix or "eth"
    if not _NAME.match(wanted) or len(wanted) > (15 if names.DstName else 12):
        raise PluginError(f"failed to set interface name: {wanted[:100]!r} is none")
    taken = {other.ifname for other in sandbox.endpoints}
    if names.DstName:
        if wanted in taken or wanted == "lo":
            raise PluginError(f"failed to set interface name: {wanted} is taken in the sandbox")
        return wanted
    return wishes.interface_name(EndpointConfig(""), sandbox.endpoints, wanted)


def ways(joined: Joined, record: Network) -> Interface:
    """Next hops and routes. A static default route is a gateway, too."""
    hops = {4: _address("Gateway", joined.Gateway, 4), 6: _address("GatewayIPv6", joined.GatewayIPv6, 6)}
    device, routes = False, []
    for row in joined.StaticRoutes:
        try:
            target = ipaddress.ip_network(row.Destination, strict=False)
        except ValueError:
            raise PluginError(f"invalid CIDR address: {row.Destination[:100]}") from None
        if row.RouteType not in (0, 1) or (row.RouteType == 0 and not row.NextHop):
            raise PluginError(f"failed to set static route: {target} has route type {row.RouteType} and next hop "
                              f"{row.NextHop[:100]!r}; 0 needs one, 1 is a route on the link")
        hop = _address("NextHop", row.NextHop, target.version) if row.RouteType == 0 else ""
        if target.prefixlen:
            routes.append(Route(str(target), hop))
        elif hop:
            hops[target.version] = hops[target.version] or hop
        else:
            device = True
    if record.internal:
        return Interface(routes=tuple(routes))
    needs = not (hops[4] or hops[6] or device or joined.DisableGatewayService)
    return Interface(gateway4=hops[4], gateway6=hops[6], device_route=device, routes=tuple(routes), needs_gateway=needs)


def _address(key: str, text: str, version: int) -> str:
    if not text:
        return ""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise PluginError(f'unable to parse {key} "{text[:100]}"') from None
    if found.version != version:
        raise PluginError(f"{key} {text} is no IPv{version} address")
    return str(found)
