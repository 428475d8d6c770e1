"""What a plan would run into: ports and subnets that others have, data that would be lost. Pure but for `survey`."""

from __future__ import annotations

from solva.compose import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from solva.client.transport import Transport
    from solva.compose.host import Listener
    from solva.compose.observe import Container, Observed
    from solva.compose.plan import Op
    from solva.compose.project import Project


class Survey:
    """What others have: all containers and networks of the engine, and the machine's listening sockets."""

    __slots__ = ("containers", "listeners", "networks")

    def __init__(self, containers: Iterable[Mapping[str, Any]], networks: Iterable[Mapping[str, Any]],
                 listeners: Iterable[Listener] = ()) -> None:
        self.containers = tuple(containers)
        self.networks = tuple(networks)
        self.listeners = tuple(listeners)


def survey(api: Transport, project: Project) -> Survey:
    """Look around."""
    from solva.compose.host import engine_pid, listeners

    ports = {number for _, _, _, numbers in _wanted(project) for number in numbers}
    pid = engine_pid(api) if ports else 0
    return Survey(api.json("GET", "/containers/json"), api.json("GET", "/networks"),
                  listeners(pid, ports) if pid else ())


def _wanted(project: Project) -> list[tuple[str, str, str, range]]:
    """(service, address, protocol, published ports) of the files."""
    found = []
    for service in project.services.values():
        for port in service.get("ports") or ():
            published = str(port.get("published") or "")
            first, _, last = published.partition("-")
            if first.isdigit():
                numbers = range(int(first), int(last or first) + 1)
                address, protocol = str(port.get("host_ip") or ""), str(port.get("protocol") or "tcp")
                found.append((service.name, address, protocol, numbers))
    return found


def _overlap(one: str, other: str) -> bool:
    free = ("", "0.0.0.0", "::")
    return one in free or other in free or one == other


def port_conflicts(project: Project, observed: Observed, around: Survey) -> list[str]:
    """Ports that somebody else has: ``port 8080/tcp of web: taken by …; next free: 8081``."""
    own = {item.id for item in observed.containers}
    taken: list[tuple[str, str, int, str]] = []
    ours: set[tuple[str, int]] = set()
    for entry in around.containers:
        for port in entry.get("Ports") or ():
            if not port.get("PublicPort"):
                continue
            if entry["Id"] in own:
                ours.add((port["Type"], port["PublicPort"]))
                continue
            known = entry.get("Labels") or {}
            where = f" of project {known[labels.PROJECT]}" if labels.PROJECT in known else ""
            name = (entry.get("Names") or ["?"])[0].lstrip("/")
            taken.append((port["Type"], port.get("IP") or "", port["PublicPort"], f"container {name}{where}"))
    by_container = {(kind, number) for kind, _, number, _ in taken}
    taken += [(item.protocol, item.address, item.port, item.owner or "a process of another user")
              for item in around.listeners if (item.protocol, item.port) not in by_container | ours]
    found = []
    busy = {(kind, number) for kind, _, number, _ in taken} | ours
    seen: dict[tuple[str, str, int], str] = {}
    for service, address, kind, numbers in _wanted(project):
        owners = []
        for number in numbers:
            owner = next((who for other, where, port, who in taken
                          if other == kind and port == number and _overlap(address, where)), "")
            twin = seen.get((kind, address, number))
            seen[kind, address, number] = service
            if twin and len(numbers) == 1:
                owner = owner or f"service {twin} of this project"
            owners.append(owner)
        if owners and all(owners):
            shown = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
            spare = next((number for number in range(numbers[-1] + 1, 65536) if (kind, number) not in busy), 0)
            found.append(f"port {shown}/{kind} of {service}: taken by {owners[0]}; next free: {spare}")
    return found


def subnet_conflicts(project: Project, observed: Observed, around: Survey) -> list[str]:
    """Given subnets of networks to be created that overlap those of others."""
    import ipaddress

    found = []
    others = []
    for entry in around.networks:
        known = entry.get("Labels") or {}
        where = f" of project {known[labels.PROJECT]}" if labels.PROJECT in known else ""
        for pool in (entry.get("IPAM") or {}).get("Config") or ():
            if pool.get("Subnet"):
                others.append((entry["Name"], ipaddress.ip_network(pool["Subnet"], strict=False),
                               f"network {entry['Name']}{where}"))
    for entry in project.networks.values():
        if entry.get("external") or entry["name"] in observed.networks:
            continue
        for pool in (entry.get("ipam") or {}).get("config") or ():
            try:
                subnet = ipaddress.ip_network(pool.get("subnet") or "", strict=False)
            except ValueError:
                continue
            found += [f"subnet {subnet} of network {entry['name']}: overlaps {other} of {who}"
                      for name, other, who in others if name != entry["name"] and other.version == subnet.version
                      and other.overlaps(subnet)]
    return found


def leaving(observed: Observed, ops: Iterable[Op]) -> list[Container]:
    """The containers that the plan removes."""
    removed = {op.path.split("/")[2] for op in ops if op.method == "DELETE" and op.path.startswith("/containers/")}
    return [item for item in observed.containers if item.id in removed]


def data_at_risk(observed: Observed, ops: Iterable[Op], written: Mapping[str, int], *,
                 renew_volumes: bool = False) -> list[str]:
    """What the plan would lose: volumes removed, nameless volumes left behind, files in removed containers.
    ``written``: container id -> how many files it wrote outside volumes."""
    found = []
    recreated = {op.body["Labels"].get(labels.REPLACE) for op in ops if op.path == "/containers/create"}
    for op in ops:
        if op.method == "DELETE" and op.path.startswith("/volumes/"):
            found.append(f"volume {op.path.split('/')[2]}: all its data")
    for container in leaving(observed, ops):
        nameless = [mount["Destination"] for mount in container.data.get("Mounts") or ()
                    if mount.get("Type") == "volume" and len(mount.get("Name", "")) == 64]
        kept = container.id in recreated and not renew_volumes
        if nameless and not kept:
            what = "removed" if renew_volumes else "left behind without a container"
            found.append(f"container {container.name}: its anonymous volumes ({', '.join(nameless)}) are {what}")
        if written.get(container.id):
            found.append(f"container {container.name}: {written[container.id]} changed paths outside volumes")
    return found


def downtime(ops: Iterable[Op]) -> list[str]:
    """Names of running containers that the plan stops."""
    return sorted({op.key.removeprefix("stop ") for op in ops if op.key.startswith("stop ")})
