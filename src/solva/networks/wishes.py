"""Whether what is wanted of an endpoint can be, in Docker's words. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from solva.errors import Conflict, Forbidden, InvalidParameter
from solva.kernel import links
from solva.networks.model import Endpoint, EndpointConfig, Network, Sandbox

IFNAME_OPTION = "com.docker.network.endpoint.ifname"


def check(network: Network, wanted: EndpointConfig) -> None:
    """InvalidParameter with every problem of static addresses, aliases and MAC address."""
    problems: list[str] = []
    addresses = [address for address in (wanted.ipv4, wanted.ipv6) if address]
    if addresses and (network.predefined or network.driver in ("host", "null")):
        problems.append("user specified IP address is supported on user defined networks only")
    else:
        for address in addresses:
            problems += _address_problem(network, address)
    if wanted.aliases and network.predefined:
        problems.append("network-scoped aliases are only supported for user-defined networks")
    if wanted.mac:
        try:
            links.mac_bytes(wanted.mac)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise InvalidParameter(f"invalid config for network {network.name}: invalid endpoint settings:\n"
                               + "\n".join(problems))
    if network.config_only:
        raise Forbidden(f"cannot join a configuration-only network {network.name}: it only serves as a template")


def _address_problem(network: Network, address: str) -> list[str]:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return [f"invalid IP address: {address}"]
    if ip.version == 6 and not network.enable_ipv6:
        return []       # kept and shown, and of no effect, as in Docker
    pools = [pool for pool in network.pools if (":" in pool.subnet) == (ip.version == 6)]
    if not any(pool.given for pool in pools):
        return ["user specified IP address is supported only when connecting to networks with user configured subnets"]
    if not any(ip in ipaddress.ip_network(pool.subnet) for pool in pools):
        return [f"no configured subnet or ip-range contain the IP address {address}"]
    return []


def check_connect(sandbox: Sandbox, network: Network) -> None:
    """Whether a live sandbox may get one more network."""
    if network.driver == "host":
        raise Conflict("cannot connect container to host network - container must be created in host network mode")
    if sandbox.config.mode == "host":
        raise Conflict("container sharing network namespace with another container or host cannot be connected to "
                       "any other network")
    if network.driver == "null" or sandbox.config.mode == "none":
        raise Forbidden("container cannot be connected to multiple networks with one of the networks in private "
                        "(none) mode")
    if any(endpoint.network_id == network.id for endpoint in sandbox.endpoints):
        raise Forbidden(f"endpoint with name {sandbox.config.name} already exists in network {network.name}")


def interface_name(wanted: EndpointConfig, others: Sequence[Endpoint], prefix: str) -> str:
    """The name asked for, or the first free one of the network's prefix."""
    taken = {endpoint.ifname for endpoint in others}
    asked = wanted.driver_opts.get(IFNAME_OPTION, "")
    if asked:
        if asked in taken or not 0 < len(asked) < 16 or "/" in asked or asked in (".", "..", "lo"):
            raise InvalidParameter(f"invalid interface name {asked}: it is taken, or not a name of 1 to 15 characters")
        return asked
    number = 0
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"
