"""The whole of loading: files -> one content -> profiles -> normalised -> consistent -> frozen Project."""

from __future__ import annotations

from solva.compose.attributes.convert import Misfit
from solva.compose.attributes.resources import SECTIONS
from solva.compose.attributes.row import convert_entry
from solva.compose.attributes.service import ATTRIBUTES
from solva.compose.errors import ComposeError
from solva.compose.load import consistency, environment, normalize
from solva.compose.load.files import load_model
from solva.compose.load.tree import dotted
from solva.compose.project import Project, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from solva.compose.load.options import LoadOptions

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def load_content(files: list[str], options: LoadOptions) -> dict[str, Any]:
    """The merged content of ``files``: long forms, paths absolute, defaults in place; as written otherwise."""
    content = load_model(files, options)
    if not content:
        raise ComposeError(f"{files[0]}: empty compose file" if files else "empty compose file")
    if not options.name:
        raise ComposeError("project name must not be empty")
    return normalize.normalize(content, options) if options.normalize else content


def load_project(files: list[str], options: LoadOptions, *, all_resources: bool = False,
                 services: Iterable[str] = (), keep_env_files: bool = False,
                 keep_label_files: bool = True) -> Project:
    """The Project of ``files``. ``services`` are named by the user, so their profiles count as active.

    ``keep_env_files``: ``env_file`` stays beside what it says (for the hash that `config --hash` prints);
    ``keep_label_files`` likewise (the hash of what runs has it, `config` has not).
    """
    content = decoded(load_content(files, options), options)
    enabled, disabled = split_profiles(content["services"], options.profiles, ())
    if options.consistency:
        consistency.check({**content, "services": enabled}, disabled, options.places)
        consistency.check_container_names(enabled, options.places)
    if services:
        enabled, disabled = split_profiles(content["services"], options.profiles, tuple(services))
    if options.resolve_environment:
        enabled = environment.services(enabled, options, keep_files=keep_env_files)
    enabled = environment.label_files(enabled, options, keep=keep_label_files)
    active = {**content, "services": enabled}
    if not all_resources:
        active = used_only(active)
    return _project(active, disabled, files, options)


def decoded(content: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    """``content`` in the types of Compose's model. ComposeError with the place of what does not fit."""
    result = {key: value for key, value in content.items() if key.startswith("x-")}
    try:
        for section in _SECTIONS:
            rows = ATTRIBUTES if section == "services" else SECTIONS[section]
            result[section] = {name: convert_entry(rows, entry or {}, (section, name))
                               for name, entry in (content.get(section) or {}).items()
                               if section == "services" or not name.startswith("x-") or isinstance(entry, dict)}
    except Misfit as error:
        raise ComposeError(f"{options.places.place(error.path)}: {dotted(error.path)}: {error}") from None
    return result


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
