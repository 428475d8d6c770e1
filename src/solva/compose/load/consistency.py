"""Contradictions inside a project: what refers to nothing, what excludes one another, what waits in a circle."""

from __future__ import annotations

from solva.compose.errors import ComposeError, InvalidProject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check(content: dict[str, Any], known: set[str]) -> None:
    """Raise unless ``content`` (services enabled) is sound. ``known``: all services, also those of idle profiles."""
    services = content["services"]
    for name in sorted(services):
        _service(name, services[name], content, known)
    for name, entry in sorted((content.get("secrets") or {}).items()):
        _source("secrets", name, entry, ("file", "environment"))
    for name, entry in sorted((content.get("configs") or {}).items()):
        _source("configs", name, entry, ("file", "environment", "content"))
    _container_names(services)


def check_resources(content: dict[str, Any]) -> None:
    """What contradicts itself in a volume, before unused ones are dropped."""
    for name, entry in (content.get("volumes") or {}).items():
        if entry and entry.get("external"):
            for other in ("driver", "driver_opts", "labels"):
                if entry.get(other):
                    raise ComposeError(f'volumes.{name}: conflicting parameters "external" and "{other}" specified')
    for section, options in (("secrets", ("file", "environment")), ("configs", ("file", "environment", "content"))):
        for name, entry in (content.get(section) or {}).items():
            _source(section, name, entry or {}, options)


def _source(section: str, name: str, entry: dict[str, Any], options: tuple[str, ...]) -> None:
    if entry.get("external") or entry.get("driver"):
        return
    given = [option for option in options if option in entry]
    if len(given) > 1:
        raise ComposeError(f"{section}.{name}: {'|'.join(options)} attributes are mutually exclusive")
    if not given:
        raise ComposeError(f"{section}.{name}: one of {'|'.join(options)} must be set")


def _service(name: str, entry: dict[str, Any], content: dict[str, Any], known: set[str]) -> None:
    if not entry.get("image") and entry.get("build") is None and entry.get("provider") is None:
        raise InvalidProject(f'service "{name}" has neither an image nor a build context specified')
    build = entry.get("build") or {}
    if build.get("dockerfile_inline") and build.get("dockerfile"):
        raise InvalidProject(f'service "{name}" declares mutualy exclusive dockerfile and dockerfile_inline')
    if entry.get("network_mode") and entry.get("networks"):
        raise InvalidProject(f"service {name} declares mutually exclusive `network_mode` and `networks`")
    for network in sorted(entry.get("networks") or ()):
        if network not in (content.get("networks") or {}):
            raise InvalidProject(f'service "{name}" refers to undefined network {network}')
    for dependency, options in sorted((entry.get("depends_on") or {}).items()):
        if dependency not in known and options.get("required", True):
            raise InvalidProject(f'service "{name}" depends on undefined service "{dependency}"')
    for mount in entry.get("volumes") or ():
        source = mount.get("source")
        if mount.get("type") == "volume" and source and source not in (content.get("volumes") or {}):
            raise InvalidProject(f'service "{name}" refers to undefined volume {source}')
    for section, word in (("configs", "config"), ("secrets", "secret")):
        for item in entry.get(section) or ():
            if item.get("source") not in (content.get(section) or {}):
                raise InvalidProject(f'service "{name}" refers to undefined {word} {item.get("source")}')
    for item in build.get("secrets") or ():
        if item.get("source") not in (content.get("secrets") or {}):
            raise InvalidProject(f'service "{name}" refers to undefined build secret {item.get("source")}')
    _limits(name, entry)


def _limits(name: str, entry: dict[str, Any]) -> None:
    deploy = entry.get("deploy") or {}
    limits = (deploy.get("resources") or {}).get("limits") or {}
    reservations = (deploy.get("resources") or {}).get("reservations") or {}
    for attribute, other, place in (
            ("cpus", limits.get("cpus"), "deploy.resources.limits.cpus"),
            ("mem_limit", limits.get("memory"), "deploy.resources.limits.memory"),
            ("pids_limit", limits.get("pids"), "deploy.resources.limits.pids"),
            ("mem_reservation", reservations.get("memory"), "deploy.resources.reservations.memory"),
            ("scale", deploy.get("replicas"), "deploy.replicas")):
        value = entry.get(attribute)
        if value is not None and other is not None and float(value) != float(other):
            raise InvalidProject(f"services.{name}: can't set distinct values on '{attribute}' and '{place}'")
    scale = entry.get("scale", deploy.get("replicas"))
    if entry.get("container_name") and scale is not None and scale > 1:
        raise InvalidProject(f"services.{'deploy.replicas' if 'scale' not in entry else 'scale'}: can't set "
                             f"container_name and {name} as container name must be unique")


def _container_names(services: dict[str, Any]) -> None:
    owners: dict[str, str] = {}
    for name in sorted(services):
        wanted = services[name].get("container_name")
        if wanted and wanted in owners:
            raise InvalidProject(f'services.{name}: container name "{wanted}" is already in use by service '
                                 f'{owners[wanted]}"')
        if wanted:
            owners[wanted] = name


def check_cycles(services: dict[str, Any]) -> None:
    """ComposeError that prints the first circle of depends_on."""
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(name: str) -> None:
        state[name] = 1
        trail.append(name)
        for dependency in sorted(services[name].get("depends_on") or ()):
            if dependency not in services:
                continue
            if state.get(dependency) == 1:
                circle = [*trail[trail.index(dependency):], dependency]
                raise ComposeError(f"dependency cycle detected: {' -> '.join(circle)}")
            if dependency not in state:
                visit(dependency)
        trail.pop()
        state[name] = 2

    for name in sorted(services):
        if name not in state:
            visit(name)
