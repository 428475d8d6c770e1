"""What a project leaves unsaid: default network, names, implied dependencies, resolved environment."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load import dotenv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from solva.compose.load.options import LoadOptions

_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


def normalize(content: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    """``content`` with all defaults in place."""
    result = dict(content)
    services = {name: _service(entry or {}, options) for name, entry in (result.get("services") or {}).items()}
    result["services"] = services
    networks = dict(result.get("networks") or {})
    if "default" not in networks and any("default" in (entry.get("networks") or ()) for entry in services.values()):
        networks["default"] = None
    result["networks"] = networks
    for section in ("networks", "volumes", "configs", "secrets", "models"):
        if section in result:
            result[section] = {name: _named(name, entry, options.name, section)
                               for name, entry in (result[section] or {}).items()}
    return result


def _named(name: str, entry: Any, project: str, section: str) -> dict[str, Any]:
    result = dict(entry or {})
    if not result.get("name"):
        result["name"] = name if result.get("external") or section == "models" else f"{project}_{name}"
    return result


def _service(entry: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    result = dict(entry)
    if result.get("provider") is None and not result.get("networks") and not result.get("network_mode"):
        result["networks"] = {"default": None}
    if result.get("pull_policy") == "if_not_present":
        result["pull_policy"] = "missing"
    if result.get("build") is not None:
        result["build"] = _build(result["build"], options)
    if result.get("environment"):
        result["environment"] = _resolved(result["environment"], options.environment)
    dependencies = _implied(result)
    if dependencies:
        result["depends_on"] = {**dependencies, **(result.get("depends_on") or {})}
    return result


def _build(value: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    result = dict(value)
    if "context" not in result:
        result["context"] = options.working_dir if options.resolve_paths else "."
    if not result.get("dockerfile") and not result.get("dockerfile_inline"):
        result["dockerfile"] = "Dockerfile"
    if result.get("args"):
        args = _resolved(result["args"], options.environment)
        result["args"] = {key: value for key, value in args.items() if value is not None} \
            if options.resolve_environment else args
    return result


def _resolved(table: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Keys without a value take the environment's."""
    return {key: environment.get(key) if value is None else value for key, value in table.items()}


def _implied(entry: dict[str, Any]) -> dict[str, Any]:
    """Dependencies from links, shared namespaces, volumes_from and build contexts of other services."""
    found: dict[str, Any] = {}
    for link in entry.get("links") or ():
        found[link.split(":")[0]] = {"condition": "service_started", "restart": True, "required": True}
    for attribute in _NAMESPACES:
        value = entry.get(attribute) or ""
        if value.startswith("service:"):
            found[value[8:]] = {"condition": "service_started", "restart": True, "required": True}
    for volume in entry.get("volumes_from") or ():
        if not volume.startswith("container:"):
            found.setdefault(volume.split(":")[0], {"condition": "service_started", "required": True})
    return found


def resolve_files(content: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    """``env_file`` and ``label_file`` read into environment and labels, and gone."""
    services = {}
    for name, entry in content["services"].items():
        entry = dict(entry)
        if entry.get("env_file"):
            values = _environment(entry["env_file"], options)
            entry["environment"] = {**values, **(entry.get("environment") or {})}
        entry.pop("env_file", None)
        if entry.get("label_file"):
            labels: dict[str, Any] = {}
            for file in entry["label_file"]:
                if not os.path.isfile(file):
                    raise ComposeError(f"label file {file} not found: stat {file}: no such file or directory")
                labels.update(dotenv.load(file, {}))
            entry["labels"] = {**labels, **(entry.get("labels") or {})}
        entry.pop("label_file", None)
        services[name] = entry
    return {**content, "services": services}


def _environment(files: list[dict[str, Any]], options: LoadOptions) -> dict[str, str]:
    values: dict[str, str] = {}
    for item in files:
        path = item["path"]
        if not os.path.isfile(path):
            if item.get("required", True):
                raise ComposeError(f"env file {path} not found: stat {path}: no such file or directory")
            continue
        if item.get("format") == "raw":
            values.update(_raw(path))
        elif item.get("format"):
            raise ComposeError(f'unsupported env_file format "{item["format"]}"')
        else:
            values.update(dotenv.load(path, {**values, **options.environment}))
    return values


def _raw(path: str) -> dict[str, str]:
    """Lines as they stand: no quotes, no variables."""
    values = {}
    with open(path, encoding="utf-8") as stream:
        for line in stream.read().split("\n"):
            key, equals, value = line.strip("\r").partition("=")
            if equals and not key.startswith("#"):
                values[key.strip()] = value
    return values
