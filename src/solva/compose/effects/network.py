"""Networks, ports, names; and the requests that make networks and volumes."""

from __future__ import annotations

from solva.compose import labels
from solva.compose.hash import network_hash, volume_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.project import Project, Service

    Body = dict[str, Any]


def ports(value: list[Body], config: Body, host: Body) -> None:
    bindings = host.setdefault("PortBindings", {})
    exposed = config.setdefault("ExposedPorts", {})
    for item in value:
        key = f"{item['target']}/{item.get('protocol', 'tcp')}"
        exposed[key] = {}
        bindings.setdefault(key, []).append({"HostIp": item.get("host_ip", ""), "HostPort": item.get("published", "")})


def expose(value: list[str], config: Body, host: Body) -> None:
    exposed = config.setdefault("ExposedPorts", {})
    for item in value:
        body, _, protocol = item.partition("/")
        low, _, high = body.partition("-")
        if low.isdigit():
            for port in range(int(low), int(high or low) + 1):
                exposed[f"{port}/{protocol or 'tcp'}"] = {}


def extra_hosts(value: list[str], config: Body, host: Body) -> None:
    host["ExtraHosts"] = [item.replace("=", ":", 1) for item in value]


def _host(field: str) -> Callable[[Any, Body, Body], None]:
    def effect(value: Any, config: Body, host: Body) -> None:
        host[field] = value
    return effect


EFFECTS: dict[str, Callable[[Any, Body, Body], None]] = {
    "ports": ports, "expose": expose, "extra_hosts": extra_hosts, "dns": _host("Dns"),
    "dns_opt": _host("DnsOptions"), "dns_search": _host("DnsSearch"), "network_mode": _host("NetworkMode"),
}


def by_priority(service: Service) -> list[str]:
    """The service's networks, the main one first."""
    networks = service.get("networks") or {}
    return sorted(networks, key=lambda name: (-int((networks[name] or {}).get("priority") or 0), name))


def join(project: Project, service: Service, name: str, config: Body, host: Body, aliases: bool) -> None:
    """NetworkMode and the endpoints of ``networks``, with names, addresses and links."""
    names = by_priority(service)
    if not names and service.get("network_mode") == "" and "default" in project.networks:
        names = ["default"]
    if not names:
        host.setdefault("NetworkMode", "none")
        return
    host["NetworkMode"] = project.networks[names[0]]["name"]
    links = _links(project, service)
    if links:
        host["Links"] = links
    endpoints = {}
    for index, key in enumerate(names):
        endpoint = _endpoint(service, (service.get("networks") or {}).get(key) or {}, name, aliases)
        if links:
            endpoint["Links"] = links
        if index == 0 and service.get("mac_address") and not endpoint.get("MacAddress"):
            endpoint["MacAddress"] = service.get("mac_address")
        endpoints[project.networks[key]["name"]] = endpoint
    config["NetworkingConfig"] = {"EndpointsConfig": endpoints}


def _endpoint(service: Service, given: Body, name: str, aliases: bool) -> Body:
    known = [name, *([service.name, *(given.get("aliases") or ())] if aliases else ())]
    endpoint: Body = {"Aliases": list(dict.fromkeys(known))}
    if given.get("ipv4_address") or given.get("ipv6_address") or given.get("link_local_ips"):
        endpoint["IPAMConfig"] = {"IPv4Address": given.get("ipv4_address", ""),
                                  "IPv6Address": given.get("ipv6_address", ""),
                                  "LinkLocalIPs": given.get("link_local_ips") or None}
    options = dict(given.get("driver_opts") or {})
    if given.get("interface_name"):
        options["com.docker.network.endpoint.ifname"] = given["interface_name"]
    if options:
        endpoint["DriverOpts"] = options
    if given.get("mac_address"):
        endpoint["MacAddress"] = given["mac_address"]
    if given.get("gw_priority"):
        endpoint["GwPriority"] = int(given["gw_priority"])
    return endpoint


def _links(project: Project, service: Service) -> list[str]:
    result = []
    for link in service.get("links") or ():
        other, _, alias = link.partition(":")
        target = project.services.get(other)
        container = (target.get("container_name") if target else None) or f"{project.name}-{other}-1"
        result += [f"{container}:{alias or other}", f"{container}:{container}"]
    for link in service.get("external_links") or ():
        container, _, alias = link.partition(":")
        result.append(f"{container}:{alias or container}")
    return result


def network_request(project: Project, key: str) -> Body:
    """The body of ``POST /networks/create``."""
    entry = project.networks[key]
    body: Body = {
        "Name": entry["name"], "Driver": entry.get("driver") or "bridge", "Internal": bool(entry.get("internal")),
        "Attachable": bool(entry.get("attachable")), "Options": entry.get("driver_opts") or {},
        "Labels": {**(entry.get("labels") or {}), labels.NETWORK: key, labels.PROJECT: project.name,
                   labels.VERSION: labels.COMPOSE_VERSION, labels.CONFIG_HASH: network_hash(entry)},
    }
    for name, field in (("enable_ipv4", "EnableIPv4"), ("enable_ipv6", "EnableIPv6")):
        if entry.get(name) is not None:
            body[field] = bool(entry[name])
    ipam = entry.get("ipam") or {}
    if ipam:
        body["IPAM"] = {"Driver": ipam.get("driver") or "default", "Options": ipam.get("options") or {}, "Config": [
            {field: pool[name] for name, field in (("subnet", "Subnet"), ("ip_range", "IPRange"),
                                                   ("gateway", "Gateway"), ("aux_addresses", "AuxiliaryAddresses"))
             if name in pool} for pool in ipam.get("config") or ()]}
    return body


def volume_request(project: Project, key: str) -> Body:
    """The body of ``POST /volumes/create``."""
    entry = project.volumes[key]
    return {"Name": entry["name"], "Driver": entry.get("driver") or "local",
            "DriverOpts": entry.get("driver_opts") or {},
            "Labels": {**(entry.get("labels") or {}), labels.VOLUME: key, labels.PROJECT: project.name,
                       labels.VERSION: labels.COMPOSE_VERSION, labels.CONFIG_HASH: volume_hash(entry)}}
