"""The whole of loading: files -> one content -> profiles -> normalised -> consistent -> frozen Project."""

from __future__ import annotations

from solva.compose.errors import InvalidProject
from solva.compose.load import consistency, normalize, paths
from solva.compose.load.files import load_files
from solva.compose.project import Project, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from solva.compose.load.options import LoadOptions

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def load_content(files: list[str], options: LoadOptions) -> dict[str, Any]:
    """The merged content of ``files`` before profiles: paths absolute, defaults in place."""
    content = load_files(files, options)
    for section in ("services", "networks", "volumes", "secrets", "configs"):
        content.setdefault(section, {})
    if options.resolve_paths:
        content = paths.resolve(content, options.working_dir)
    if options.normalize:
        content = normalize.normalize(content, options)
    return content


def load_project(files: list[str], options: LoadOptions, *, all_resources: bool = False,
                 services: Iterable[str] = ()) -> Project:
    """The Project of ``files``. ``services`` are named by the user, so their profiles count as active."""
    content = load_content(files, options)
    enabled, disabled = split_profiles(content["services"], options.profiles, tuple(services))
    if options.consistency:
        consistency.check_resources(content)
    active = {**content, "services": enabled}
    if options.consistency:
        consistency.check(active, set(content["services"]))
        consistency.check_cycles(content["services"])
        _check_profiles(enabled, disabled)
    if options.resolve_environment:
        active = normalize.resolve_files(active, options)
    if not all_resources:
        active = used_only(active)
    return _project(active, disabled, files, options)


def _project(content: dict[str, Any], disabled: dict[str, Any], files: list[str], options: LoadOptions) -> Project:
    return Project(
        options.name, working_dir=options.working_dir, files=files, environment=options.environment,
        services={name: Service(name, entry) for name, entry in sorted(content["services"].items())},
        disabled={name: Service(name, entry) for name, entry in sorted(disabled.items())},
        networks=content["networks"], volumes=content["volumes"], configs=content["configs"],
        secrets=content["secrets"], models=content.get("models") or {},
        extensions={key: value for key, value in content.items() if key.startswith("x-")},
        profiles=options.profiles,
    )


def split_profiles(services: Mapping[str, Any], profiles: tuple[str, ...],
                   named: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Services of active profiles (or of none), and the others."""
    active = set(profiles)
    for name in named:
        active.update((services.get(name) or {}).get("profiles") or ())
    enabled: dict[str, Any] = {}
    disabled: dict[str, Any] = {}
    for name, entry in services.items():
        wanted = entry.get("profiles") or ()
        target = enabled if not wanted or "*" in active or active.intersection(wanted) else disabled
        target[name] = entry
    return enabled, disabled


def _check_profiles(enabled: dict[str, Any], disabled: dict[str, Any]) -> None:
    for name, entry in sorted(enabled.items()):
        for dependency, options in sorted((entry.get("depends_on") or {}).items()):
            if dependency in disabled and options.get("required", True):
                raise InvalidProject(f'service "{name}" depends on undefined service "{dependency}"')


def used_only(content: dict[str, Any]) -> dict[str, Any]:
    """Without the networks, volumes, configs and secrets that no enabled service uses."""
    used: dict[str, set[str]] = {section: set() for section in _SECTIONS}
    for entry in content["services"].values():
        used["networks"].update(entry.get("networks") or ())
        used["models"].update(entry.get("models") or ())
        for mount in entry.get("volumes") or ():
            if mount.get("type") == "volume" and mount.get("source"):
                used["volumes"].add(mount["source"])
        for section in ("secrets", "configs"):
            used[section].update(item.get("source", "") for item in entry.get(section) or ())
        used["secrets"].update(item.get("source", "") for item in (entry.get("build") or {}).get("secrets") or ())
    result = dict(content)
    for section in _SECTIONS[1:]:
        if section in result:
            result[section] = {name: entry for name, entry in (result[section] or {}).items()
                               if name in used[section]}
    return result


def select(project: Project, names: Iterable[str], *, dependencies: bool = True) -> Project:
    """Only the services ``names`` and, by default, what they depend on. No names: all."""
    wanted = list(names)
    if not wanted:
        return project
    chosen: dict[str, Service] = {}
    every = {**project.disabled, **project.services}

    def add(name: str, required: bool = True) -> None:
        if name in chosen:
            return
        service = every.get(name)
        if service is None:
            if required:
                from solva.compose.errors import ComposeError

                raise ComposeError(f"no such service: {name}")
            return
        chosen[name] = service
        if dependencies:
            for dependency, options in service.depends_on.items():
                add(dependency, options.get("required", True))

    for name in wanted:
        add(name)
    if not dependencies:
        chosen = {name: _without(service, chosen) for name, service in chosen.items()}
    rest = {name: service for name, service in every.items() if name not in chosen}
    return project.replace(services={name: chosen[name] for name in sorted(chosen)}, disabled=rest)


def _without(service: Service, kept: Mapping[str, Any]) -> Service:
    wanted = {name: options for name, options in service.depends_on.items() if name in kept}
    return service.with_(depends_on=wanted or None)
