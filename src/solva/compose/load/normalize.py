"""What a project leaves unsaid: default network, names, implied dependencies, values of ``NAME`` alone."""

from __future__ import annotations

from solva.compose.load.transform import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from solva.compose.load.options import LoadOptions

_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


def normalize(content: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    """``content`` with all defaults in place."""
    content["name"] = options.name
    services = content.get("services") or {}
    _default_network(content, services)
    for entry in services.values():
        if isinstance(entry, dict):
            _service(entry, options.environment)
    for section in ("networks", "volumes", "configs", "secrets"):
        for name, entry in (content.get(section) or {}).items():
            if entry is None:
                entry = content[section][name] = {}
            if entry.get("name") is None:
                entry["name"] = name if _true(entry.get("external")) else f"{options.name}_{name}"
    return content


def _true(value: Any) -> bool:
    return value is True or str(value) in ("1", "t", "T", "true", "TRUE", "True")


def _default_network(content: dict[str, Any], services: dict[str, Any]) -> None:
    networks = content.get("networks") or {}
    for entry in services.values():
        if not isinstance(entry, dict) or "provider" in entry or "network_mode" in entry:
            continue
        if not entry.get("networks"):
            entry["networks"] = {"default": None}
        if "default" in entry["networks"]:
            networks.setdefault("default", None)
    if networks:
        content["networks"] = networks


def _service(entry: dict[str, Any], environment: Mapping[str, str]) -> None:
    if entry.get("pull_policy") == "if_not_present":
        entry["pull_policy"] = "missing"
    build = entry.get("build")
    if isinstance(build, dict):
        if build.get("context") is None:
            build["context"] = "."
        if build.get("dockerfile") is None and build.get("dockerfile_inline") is None:
            build["dockerfile"] = "Dockerfile"
        if "args" in build:
            build["args"] = _resolved(build["args"], environment, keep=False)
    if "environment" in entry:
        entry["environment"] = _resolved(entry["environment"], environment, keep=True)
    for mount in entry.get("volumes") or ():
        if isinstance(mount, dict) and isinstance(mount.get("target"), str):
            mount["target"] = clean(mount["target"]) or "."
    dependencies = _implied(entry, dict(entry.get("depends_on") or {}))
    if dependencies:
        entry["depends_on"] = dependencies


def _resolved(value: Any, environment: Mapping[str, str], *, keep: bool) -> Any:
    """Names without a value take the environment's; those that it lacks too are left out unless ``keep``."""
    if isinstance(value, list):
        found = [item if "=" in item or item not in environment else f"{item}={environment[item]}" for item in value]
        return found if keep else [item for item in found if "=" in item]
    if isinstance(value, dict):
        return {key: environment.get(key) if item is None else item for key, item in value.items()
                if keep or item is not None or key in environment}
    return value


def _implied(entry: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Dependencies, with those from links, shared namespaces and volumes_from."""
    def add(name: str, restart: bool) -> None:
        found.setdefault(name, {"condition": "service_started", "restart": restart, "required": True})

    for link in entry.get("links") or ():
        parts = link.split(":")
        add(parts[0] if len(parts) == 2 else link, True)
    for attribute in _NAMESPACES:
        value = entry.get(attribute)
        if isinstance(value, str) and value.startswith("service:"):
            add(value[8:], True)
    for volume in entry.get("volumes_from") or ():
        if not volume.startswith("container:"):
            add(volume.split(":")[0], False)
    return found
