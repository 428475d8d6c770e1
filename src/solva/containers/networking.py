"""From a container's configuration to what networks understand, and back to the API's NetworkSettings."""

from __future__ import annotations

import ipaddress
from typing import Any

from solva import faults
from solva.api.types.container import ContainerCreate, EndpointSettings, IpamConfig
from solva.containers.core import Core
from solva.containers.model import Container
from solva.errors import Conflict, Forbidden, InvalidParameter, NotFound
from solva.networks.model import DnsConfig, Endpoint, EndpointConfig, PortMapping, Sandbox, SandboxConfig

_SHARING = ("container sharing network namespace with another container or host cannot be connected to any other "
            "network")
_PRIVATE = ("container cannot be connected to multiple networks with one of the networks in private (none) mode")
_HOST = "cannot connect container to host network - container must be created in host network mode"


def mode_of(container: Container) -> str:
    """host, none, container:<ref> or the name of a network ("bridge" for the default)."""
    mode = container.host_config.network_mode
    if container.config.network_disabled:
        return "none"
    return "bridge" if mode in ("", "default") else mode


def wanted(core: Core, container: Container, given: dict[str, EndpointSettings]) -> dict[str, EndpointSettings]:
    """The endpoints of a new container; checks the request. InvalidParameter, NotFound."""
    mode = mode_of(container)
    check_extra_hosts(container.host_config.extra_hosts)
    container.host_config.network_mode = mode if container.host_config.network_mode != "default" else "bridge"
    host, config = container.host_config, container.config
    if mode.startswith("container:"):
        reference = mode.partition(":")[2]
        try:
            host.network_mode = f"container:{core.registry.get(reference).id}"
        except NotFound:
            pass      # an error at start only, as in Docker
        return {}
    if mode in ("host", "none"):
        if mode == "host" and host.links:
            raise InvalidParameter("conflicting options: host type networking can't be used with links. "
                                   "This would result in undefined behavior")
        others = {name: other for name, other in given.items() if name not in (mode, "default")}
        return {mode: EndpointSettings(), **others}
    settings = given.get(mode) or given.get("default") or EndpointSettings()
    if config.mac_address and not settings.mac_address:
        settings.mac_address = config.mac_address
    if mode == "bridge":
        _check_links(core, host.links)
    settings.links = settings.links or list(host.links)
    endpoints = {mode: settings}
    for name, other in given.items():
        if name not in (mode, "default"):
            endpoints[name] = other
    for name, each in endpoints.items():
        # a network that does not exist is an error at start only, as in Docker; one that does is checked now
        known = True
        try:
            core.networks.get(name)
        except Exception:
            known = False
        if known:
            core.networks.validate(endpoint_config(core, name, each))
    port_mappings(container)
    return endpoints


def _check_links(core: Core, links: list[str]) -> None:
    for link in links:
        name = link.partition(":")[0]
        try:
            core.registry.get(name)
        except NotFound as error:
            raise InvalidParameter(f"could not get container for {name}: {error}") from None


def check_extra_hosts(rows: list[str]) -> None:
    """``name:address`` or ``name=address``; InvalidParameter in Docker's words."""
    for row in rows:
        name, separator, address = row.partition("=" if "=" in row else ":")
        if not name or not separator:
            raise InvalidParameter(f'bad format for add-host: "{row}"')
        if address != "host-gateway":
            try:
                ipaddress.ip_address(address.strip("[]"))
            except ValueError:
                raise InvalidParameter(f'invalid IP address in add-host: "{address}"') from None


def port_warnings(core: Core, container: Container) -> list[str]:
    """Ports are wished for, and no network of the container can publish any. (Of host mode the client tells.)"""
    mode = mode_of(container)
    if mode == "host" or mode.startswith("container:") or not port_mappings(container):
        return []
    if mode == "none":
        return ["Published ports have no effect: the container has no network"]
    try:
        if any(core.networks.publishes(name) for name in container.endpoints):
            return []
    except NotFound:
        return []       # said at start
    drivers = ", ".join(f"{name} ({_reason(core, name)})" for name in container.endpoints)
    return [f"Published ports have no effect on these networks: {drivers}"]


def _reason(core: Core, network: str) -> str:
    record = core.networks.get(network)
    return "internal" if record.internal else f"driver {record.driver}: the container is reached at its own address"


def check_joined(body: ContainerCreate) -> None:
    """What a request for a container in another's network namespace must not ask for. InvalidParameter."""
    host = body.host_config
    if not host.network_mode.startswith("container:"):
        return
    conflicts = (
        (bool(body.hostname), "conflicting options: hostname and the network mode"),
        (bool(host.links), "conflicting options: container type network can't be used with links. "
                           "This would result in undefined behavior"),
        (bool(host.dns), "conflicting options: dns and the network mode"),
        (bool(host.extra_hosts), "conflicting options: custom host-to-IP mapping and the network mode"),
        (bool(host.port_bindings) or host.publish_all_ports,
         "conflicting options: port publishing and the container type network mode"),
        (bool(body.exposed_ports), "conflicting options: port exposing and the container type network mode"),
    )
    for wrong, message in conflicts:
        if wrong:
            raise InvalidParameter(message)


def endpoint_config(core: Core, network: str, settings: EndpointSettings) -> EndpointConfig:
    """One endpoint as networks want it."""
    ipam = settings.ipam_config or IpamConfig()
    return EndpointConfig(
        network=network, aliases=tuple(settings.aliases), ipv4=ipam.ipv4_address, ipv6=ipam.ipv6_address,
        mac=settings.mac_address, driver_opts=dict(settings.driver_opts), gw_priority=settings.gw_priority,
        links=tuple(_link(core, link) for link in settings.links), link_local_ips=tuple(ipam.link_local_ips),
    )


def _link(core: Core, link: str) -> str:
    name, _, alias = link.partition(":")
    try:
        target = core.registry.get(name).name
    except Exception:
        target = name.removeprefix("/")
    return f"{target}:{alias.rpartition('/')[2] or target}"


def sandbox_config(core: Core, container: Container) -> SandboxConfig:
    """What ``NetworkService.attach`` takes."""
    host, config = container.host_config, container.config
    mode = mode_of(container)
    dns = DnsConfig(tuple(host.dns), tuple(host.dns_search), tuple(host.dns_options))
    if mode in ("host", "none") and len(container.endpoints) > 1:
        raise InvalidParameter(_SHARING if mode == "host" else _PRIVATE)
    if mode in ("host", "none"):
        return SandboxConfig(container.id, container.name, config.hostname, config.domainname,
                             "host" if mode == "host" else "none", (), (), dns, tuple(host.extra_hosts))
    endpoints = tuple(endpoint_config(core, name, each) for name, each in container.endpoints.items())
    return SandboxConfig(container.id, container.name, config.hostname, config.domainname, "bridge", endpoints,
                         tuple(port_mappings(container)), dns, tuple(host.extra_hosts), _exposed(container))


def _exposed(container: Container) -> tuple[tuple[int, str], ...]:
    """What linked containers may call."""
    ports = [pair for key in container.config.exposed_ports for pair in expand_port(key)]
    return tuple(dict.fromkeys((*ports, *(split_port(key) for key in container.host_config.port_bindings))))


def port_mappings(container: Container) -> list[PortMapping]:
    """PortBindings, and with --publish-all a random port for each exposed one."""
    result = []
    bindings = container.host_config.port_bindings
    for key, rows in bindings.items():
        port, proto = split_port(key)
        for row in rows or []:
            first, last = _range(row.host_port)
            result.append(PortMapping(port, proto, row.host_ip, first, last if last != first else 0))
    if container.host_config.publish_all_ports:
        published = {split_port(key) for key, rows in bindings.items() if rows}
        for key in container.config.exposed_ports:
            for pair in expand_port(key):
                if pair not in published:
                    result.append(PortMapping(pair[0], pair[1]))
    return result


def split_port(key: str) -> tuple[int, str]:
    """``80/tcp``. InvalidParameter."""
    port, _, proto = key.partition("/")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidParameter(f"invalid port specification: \"{key}\"")
    if (proto or "tcp") not in ("tcp", "udp", "sctp"):
        raise InvalidParameter(f"invalid protocol: {proto}")
    return int(port), proto or "tcp"


def expand_port(key: str) -> list[tuple[int, str]]:
    """An exposed port, which may be a range."""
    span, _, proto = key.partition("/")
    first, dash, last = span.partition("-")
    if not dash:
        return [split_port(key)]
    if not first.isdigit() or not last.isdigit() or int(last) < int(first):
        raise InvalidParameter(f"invalid range format for --expose: {key}")
    return [(number, proto or "tcp") for number in range(int(first), int(last) + 1)]


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not text:
        return 0, 0
    if not first.isdigit() or (last and not last.isdigit()) or int(last or first) > 65535:
        raise InvalidParameter(f"invalid port specification: \"{text}\"")
    return int(first), int(last or first)


def settings(container: Container, sandbox: Sandbox | None) -> dict[str, Any]:
    """The API's NetworkSettings."""
    live = {} if sandbox is None else {endpoint.network_name: endpoint for endpoint in sandbox.endpoints
                                       if not endpoint.is_gateway}
    networks = {name: endpoint_view(wish, live.get(name)) for name, wish in container.endpoints.items()}
    for name in networks.keys() & container.network_ids.keys():
        networks[name]["NetworkID"] = networks[name]["NetworkID"] or container.network_ids[name]
    for name, endpoint in live.items():
        networks.setdefault(name, endpoint_view(EndpointSettings(), endpoint))
    default = networks.get("bridge") if container.state.alive else None
    first = default or endpoint_view(EndpointSettings(), None)
    return {
        "Bridge": "", "SandboxID": "" if sandbox is None else sandbox.id,
        "SandboxKey": "" if sandbox is None else sandbox.netns, "Ports": ports_view(container, sandbox),
        "HairpinMode": False, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None, "EndpointID": first["EndpointID"],
        "Gateway": first["Gateway"], "GlobalIPv6Address": first["GlobalIPv6Address"],
        "GlobalIPv6PrefixLen": first["GlobalIPv6PrefixLen"], "IPAddress": first["IPAddress"],
        "IPPrefixLen": first["IPPrefixLen"], "IPv6Gateway": first["IPv6Gateway"], "MacAddress": first["MacAddress"],
        "Networks": networks,
    }


def ports_view(container: Container, sandbox: Sandbox | None) -> dict[str, Any]:
    """``80/tcp`` -> list of host addresses, or null for one that is exposed only."""
    if not container.state.alive:
        return {}
    result: dict[str, Any] = {}
    for key in container.config.exposed_ports:
        for port, proto in expand_port(key):
            result[f"{port}/{proto}"] = None
    if sandbox is not None:
        for row in sandbox.ports:
            key = f"{row.container_port}/{row.proto}"
            result[key] = [*(result.get(key) or []), {"HostIp": row.host_ip, "HostPort": str(row.host_port)}]
    return result


def endpoint_view(wish: EndpointSettings, live: Endpoint | None) -> dict[str, Any]:
    ipam = None
    if wish.ipam_config is not None:
        ipam = {key: value for key, value in (
            ("IPv4Address", wish.ipam_config.ipv4_address), ("IPv6Address", wish.ipam_config.ipv6_address),
            ("LinkLocalIPs", wish.ipam_config.link_local_ips)) if value}
    view: dict[str, Any] = {
        "IPAMConfig": ipam, "Links": wish.links or None, "Aliases": wish.aliases or None,
        "MacAddress": wish.mac_address, "DriverOpts": wish.driver_opts or None, "GwPriority": wish.gw_priority,
        "NetworkID": wish.network_id, "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0,
        "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": None,
    }
    if live is not None:
        view |= {
            "MacAddress": live.mac, "NetworkID": live.network_id, "EndpointID": live.id, "Gateway": live.gateway4,
            "IPAddress": live.ipv4, "IPPrefixLen": live.prefix4, "IPv6Gateway": live.gateway6,
            "GlobalIPv6Address": live.ipv6, "GlobalIPv6PrefixLen": live.prefix6,
            "DNSNames": list(live.dns_names) or None,
        }
    return view


def agree(core: Core, container: Container) -> None:
    """An engine starts and finds it running: what was being connected or disconnected when the last one died is as the
    sandbox has it."""
    sandbox = core.networks.sandbox(container.id)
    if sandbox is None or sandbox.config.mode != "bridge":
        return
    live = {endpoint.network_name: endpoint for endpoint in sandbox.endpoints if not endpoint.is_gateway}
    known: set[str] = set()
    for reference in list(container.endpoints):
        try:
            name = core.networks.get(reference).name
        except NotFound:
            continue
        known.add(name)
        if name not in live:
            del container.endpoints[reference]
    for name, endpoint in live.items():
        if name not in known:
            wish = endpoint.config
            ipam = IpamConfig(wish.ipv4, wish.ipv6, list(wish.link_local_ips))
            container.endpoints[name] = EndpointSettings(
                ipam if wish.ipv4 or wish.ipv6 or wish.link_local_ips else None, list(wish.links), list(wish.aliases),
                wish.mac, dict(wish.driver_opts), wish.gw_priority)
    core.registry.save(container)


async def connect(core: Core, container: Container, network: str, wish: EndpointSettings) -> None:
    """``network connect``: live for a running container, else recorded."""
    mode = mode_of(container)
    if mode.startswith("container:"):
        raise InvalidParameter(_SHARING)
    record = core.networks.get(network)
    if record.name == "host" and record.predefined:
        raise InvalidParameter(_HOST)
    if mode == "host":
        raise InvalidParameter(_SHARING)
    if mode == "none" or (record.name == "none" and record.predefined):
        raise InvalidParameter(_PRIVATE)
    if record.name in container.endpoints:
        raise Forbidden(f"endpoint with name {container.name} already exists in network {record.name}")
    config = endpoint_config(core, record.name, wish)
    core.networks.check(config)
    if container.state.alive:
        await core.networks.connect(container.id, config)
        faults.point("connect: done")
    container.endpoints[record.name] = wish
    core.registry.save(container)


async def disconnect(core: Core, container: Container, network: str, force: bool) -> None:
    """``network disconnect``."""
    record = core.networks.get(network)
    if mode_of(container) == "host":
        raise InvalidParameter("cannot disconnect container from host network - container was created in host "
                               "network mode")
    if record.name not in container.endpoints:
        raise Conflict(f"container {container.id} is not connected to network {record.name}")
    if container.state.alive:
        await core.networks.disconnect(container.id, record.name, force)
        faults.point("disconnect: done")
    del container.endpoints[record.name]
    core.registry.save(container)
