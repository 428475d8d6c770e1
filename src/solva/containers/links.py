"""Links of old: names of other containers with their ports and environment as variables, on the default bridge."""

from __future__ import annotations

from solva.containers.core import Core
from solva.containers.model import Container
from solva.containers.networking import expand_port, mode_of
from solva.errors import Conflict, InvalidParameter, NotFound, SolvaError

_BUILD_LEFTOVERS = ("HOME", "PATH")


def split(link: str) -> tuple[str, str]:
    """``[/]target[:[/owner/]alias]`` as (target, alias)."""
    name, _, alias = link.partition(":")
    name = name.removeprefix("/")
    return name, alias.rpartition("/")[2] or name


def environment(core: Core, container: Container) -> list[str]:
    """The variables of a container's links. Conflict for a target that does not run, as in Docker."""
    if mode_of(container) != "bridge":
        return []
    result: list[str] = []
    for link in container.host_config.links:
        name, alias = split(link)
        target = core.registry.get(name)
        if not target.state.alive:
            raise Conflict(f"Cannot link to a non running container: /{target.name} AS /{container.name}/{alias}")
        result += _variables(core, container, target, alias)
    return result


def _variables(core: Core, container: Container, target: Container, alias: str) -> list[str]:
    sandbox = core.networks.sandbox(target.id)
    address = next((each.ipv4 for each in sandbox.endpoints if each.network_name == "bridge"), "") if sandbox else ""
    prefix = alias.replace("-", "_").upper()
    ports = sorted({pair for key in target.config.exposed_ports for pair in expand_port(key)},
                   key=lambda pair: (pair[0], pair[1] != "tcp"))
    result = [f"{prefix}_NAME=/{container.name}/{alias}"]
    if ports:
        result.append(f"{prefix}_PORT={ports[0][1]}://{address}:{ports[0][0]}")
    for port, proto in ports:
        stem = f"{prefix}_PORT_{port}_{proto.upper()}"
        result += [f"{stem}={proto}://{address}:{port}", f"{stem}_ADDR={address}", f"{stem}_PORT={port}",
                   f"{stem}_PROTO={proto}"]
    for entry in target.config.env:
        name, equals, value = entry.partition("=")
        if equals and name not in _BUILD_LEFTOVERS:
            result.append(f"{prefix}_ENV_{name}={value}")
    return result


def remove(core: Core, reference: str) -> None:
    """Forget link ``owner/alias`` (DELETE with ``link``): the owner gets no name and no variables at its next start."""
    owner, slash, alias = reference.removeprefix("/").rpartition("/")
    if not slash or not alias:
        raise InvalidParameter("Conflict, cannot remove the default link name of the container")
    try:
        container = core.registry.get(owner)
    except SolvaError:
        raise NotFound(f"Cannot get parent {owner} for name /{reference.removeprefix('/')}") from None
    left = [link for link in container.host_config.links if split(link)[1] != alias]
    for settings in container.endpoints.values():
        settings.links = [link for link in settings.links if split(link)[1] != alias]
    container.host_config.links = left
    core.registry.save(container)
