"""Whether what is wanted of an endpoint can be, in Docker's words. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from solva.errors import Forbidden, InvalidParameter
from solva.kernel import links
from solva.networks import namespace
from solva.networks.model import Endpoint, EndpointConfig, Network, Sandbox

IFNAME_OPTION = "com.docker.network.endpoint.ifname"


def check(network: Network, wanted: EndpointConfig) -> None:
    """InvalidParameter with every problem of static addresses, aliases, MAC address and parameters."""
    if wanted.mac:
        try:
            links.mac_bytes(wanted.mac)
        except ValueError as error:
            raise InvalidParameter(str(error)) from None
    if network.config_only:
        return      # refused when somebody joins
    problems: list[str] = []
    user_defined = not network.predefined and network.driver not in ("host", "null")
    if (wanted.ipv4 or wanted.ipv6) and not user_defined:
        problems.append("user specified IP address is supported on user defined networks only")
    for version, address in ((4, wanted.ipv4), (6, wanted.ipv6)):
        if address:
            problems += _address_problems(network, version, address)
    if wanted.aliases and network.predefined:
        problems.append("network-scoped alias is supported only for containers in user defined networks")
    try:
        namespace.endpoint_sysctls(wanted.driver_opts, "")
    except InvalidParameter as error:
        problems.append(str(error))
    if problems:
        raise InvalidParameter("invalid endpoint settings:\n" + joined(problems))


def joined(problems: Sequence[str]) -> str:
    """One as it is, several as a list."""
    return problems[0] if len(problems) == 1 else "\n".join(f"* {problem}" for problem in problems)


def _address_problems(network: Network, version: int, address: str) -> list[str]:
    if version == 6 and not network.enable_ipv6:
        return []       # kept and shown, and of no effect, as in Docker
    outside = f"no configured subnet or ip-range contain the IP address {address}"
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        ip = None
    if ip is None or ip.version != version:
        return [f"invalid IPv{version} address: {address}", outside]
    pools = [pool for pool in network.pools if (":" in pool.subnet) == (version == 6)]
    if not any(pool.given for pool in pools):
        return ["user specified IP address is supported only when connecting to networks with user configured subnets"]
    return [] if any(ip in ipaddress.ip_network(pool.subnet) for pool in pools) else [outside]


def check_kind(network: Network, *, alone: bool) -> None:
    """Whether a sandbox with a namespace of its own may be on such a network (with others, or ``alone``)."""
    if network.config_only:
        raise Forbidden("cannot create endpoint on configuration-only network")
    if network.predefined and network.driver == "host":
        raise InvalidParameter("cannot connect container to host network - container must be created in host network "
                               "mode")
    if network.predefined and network.driver == "null" and not alone:
        raise InvalidParameter("container cannot be connected to multiple networks with one of the networks in "
                               "private (none) mode")


def check_connect(sandbox: Sandbox, network: Network) -> None:
    """Whether a live sandbox may get one more network."""
    check_kind(network, alone=False)
    if sandbox.config.mode == "host":
        raise InvalidParameter("container sharing network namespace with another container or host cannot be "
                               "connected to any other network")
    if sandbox.config.mode == "none":
        raise InvalidParameter("container cannot be connected to multiple networks with one of the networks in "
                               "private (none) mode")
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
