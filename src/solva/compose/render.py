"""A project printed: Compose's field order, Go's JSON, YAML as Compose writes it."""

from __future__ import annotations

from solva.compose.attributes.service import ATTRIBUTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from solva.compose.project import Project

_FIELDS: dict[str, tuple[str, ...]] = {
    "build": ("context", "dockerfile", "dockerfile_inline", "entitlements", "args", "provenance", "sbom", "ssh",
              "labels", "cache_from", "cache_to", "no_cache", "no_cache_filter", "additional_contexts", "pull",
              "extra_hosts", "isolation", "network", "target", "secrets", "shm_size", "tags", "ulimits", "platforms",
              "privileged"),
    "blkio_config": ("weight", "weight_device", "device_read_bps", "device_read_iops", "device_write_bps",
                     "device_write_iops"),
    "deploy": ("mode", "replicas", "labels", "update_config", "rollback_config", "resources", "restart_policy",
               "placement", "endpoint_mode"),
    "update_config": ("parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"),
    "limits": ("cpus", "memory", "pids", "devices", "generic_resources"),
    "restart_policy": ("condition", "delay", "max_attempts", "window"),
    "placement": ("constraints", "preferences", "max_replicas_per_node"),
    "healthcheck": ("test", "timeout", "interval", "retries", "start_period", "start_interval", "disable"),
    "ports": ("name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"),
    "volumes": ("type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image"),
    "bind": ("selinux", "propagation", "create_host_path", "recursive"),
    "volume": ("labels", "nocopy", "subpath"),
    "tmpfs": ("size", "mode"),
    "configs": ("source", "target", "uid", "gid", "mode"),
    "network": ("aliases", "driver_opts", "gw_priority", "interface_name", "ipv4_address", "ipv6_address",
                "link_local_ips", "mac_address", "priority"),
    "dependency": ("condition", "restart", "required"),
    "devices": ("source", "target", "permissions"),
    "request": ("capabilities", "driver", "count", "device_ids", "options"),
    "hooks": ("command", "user", "privileged", "working_dir", "environment"),
    "watch": ("path", "action", "target", "exec", "include", "ignore", "initial_sync"),
    "logging": ("driver", "options"),
    "ulimit": ("soft", "hard"),
}
_NETWORK = ("name", "driver", "driver_opts", "ipam", "external", "internal", "attachable", "labels", "enable_ipv4",
            "enable_ipv6")
_VOLUME = ("name", "driver", "driver_opts", "external", "labels")
_FILE = ("name", "file", "environment", "content", "external", "labels", "driver", "driver_opts", "template_driver")
_POOL = ("subnet", "gateway", "ip_range", "aux_addresses")
_ALWAYS = frozenset((("dependency", "required"),))
# Empty values that Compose's model keeps, since the field is a pointer there.
_KEEP_EMPTY = frozenset(("init", "attach", "scale", "replicas", "build", "deploy", "healthcheck", "logging", "bind",
                         "volume", "tmpfs", "image", "stop_grace_period", "command", "entrypoint", "credential_spec",
                         "develop", "parallelism", "max_attempts", "limits", "reservations", "blkio_config", "retries",
                         "enable_ipv4", "enable_ipv6", "interval", "timeout", "start_period", "start_interval",
                         "restart_policy", "update_config", "rollback_config", "provider"))
_ORDER = {name: index for index, name in enumerate(ATTRIBUTES)}


def _pick(value: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """``value`` in field order, unknown (``x-``) keys last, empty fields left out."""
    fields = _FIELDS[kind]
    result = {}
    for key in fields:
        if key in value and (_given(value[key]) or (key in _KEEP_EMPTY and value[key] is not None)
                             or (kind, key) in _ALWAYS):
            result[key] = value[key]
    for key in sorted(value):
        if key not in fields:
            result[key] = value[key]
    return result


def _given(value: Any) -> bool:
    return value not in (None, "", False, 0) and value != [] and value != {}


def _sorted(value: Any) -> Any:
    """Mappings with sorted keys, deep."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _service_part(name: str, value: Any) -> Any:
    if name == "build":
        return _build(value)
    if name == "deploy":
        return _deploy(value)
    if name in ("ports", "devices"):
        return [_pick(item, name) for item in value]
    if name in ("configs", "secrets"):
        return [_pick(item, "configs") for item in value]
    if name == "volumes":
        return [_mount(item) for item in value]
    if name == "networks":
        return {key: value[key] if value[key] is None else _sorted_in(_pick(value[key], "network"))
                for key in sorted(value)}
    if name == "depends_on":
        return {key: _pick(value[key], "dependency") for key in sorted(value)}
    if name == "ulimits":
        return {key: _pick(value[key], "ulimit") if isinstance(value[key], dict) else value[key]
                for key in sorted(value)}
    if name == "gpus":
        return [_pick(item, "request") for item in value]
    if name in ("post_start", "pre_stop"):
        return [_pick(item, "hooks") for item in value]
    if name == "develop":
        return {"watch": [_pick(item, "watch") for item in value.get("watch") or ()],
                **{key: item for key, item in value.items() if key != "watch"}}
    if name in ("healthcheck", "logging", "blkio_config"):
        return _sorted_in(_pick(value, name))
    return _sorted(value)


def _sorted_in(value: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(item) for key, item in value.items()}


def _mount(item: Mapping[str, Any]) -> dict[str, Any]:
    result = _pick(item, "volumes")
    for kind in ("bind", "volume", "tmpfs"):
        if isinstance(result.get(kind), dict):
            result[kind] = _sorted_in(_pick(result[kind], kind))
    return result


def _build(value: Mapping[str, Any]) -> dict[str, Any]:
    result = _pick(value, "build")
    if "secrets" in result:
        result["secrets"] = [_pick(item, "configs") for item in result["secrets"]]
    return {key: item if key == "secrets" else _sorted(item) for key, item in result.items()}


def _deploy(value: Mapping[str, Any]) -> dict[str, Any]:
    result = _pick(value, "deploy")
    for key in ("update_config", "rollback_config"):
        if key in result:
            result[key] = _pick(result[key], "update_config")
    for key in ("restart_policy", "placement"):
        if key in result:
            result[key] = _pick(result[key], key)
    if "labels" in result:
        result["labels"] = _sorted(result["labels"])
    resources = result.get("resources")
    if resources:
        shown: dict[str, Any] = {}
        for key in ("limits", "reservations"):
            if key in resources:
                shown[key] = _pick(resources[key], "limits")
                if "devices" in shown[key]:
                    shown[key]["devices"] = [_pick(item, "request") for item in shown[key]["devices"]]
        result["resources"] = shown
    return result


def ordered_service(config: Mapping[str, Any], *, as_json: bool = False) -> dict[str, Any]:
    """A service's attributes in Compose's order. ``as_json``: with the oddities of Compose's JSON."""
    result: dict[str, Any] = {}
    for name in _ORDER:
        value = config.get(name)
        if name in ("command", "entrypoint"):
            if value is not None or as_json:
                result[name] = value
        elif name in config and value is not None and (_given(value) or name in _KEEP_EMPTY):
            result[name] = _service_part(name, value)
            if as_json and name in _JSON_PARTS:
                result[name] = _JSON_PARTS[name](result[name])
    if as_json:
        plain: dict[str, Any] = _without_extensions(result)
        return plain
    for name in sorted(config):
        if name.startswith("x-"):
            result[name] = _sorted(config[name])
    return result


def _json_blkio(value: dict[str, Any]) -> dict[str, Any]:
    return {key: [{part.capitalize(): entry for part, entry in item.items()} for item in entries]
            if isinstance(entries, list) else entries for key, entries in value.items()}


def _json_deploy(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value.get(key, {}) for key in _FIELDS["deploy"] if key in value or key in ("resources", "placement")}


def _json_develop(value: dict[str, Any]) -> dict[str, Any]:
    order = _FIELDS["watch"]
    return {**value, "watch": [
        {key: {"command": None, **(item.get("exec") or {})} if key == "exec" else item[key]
         for key in order if key in item or key == "exec"} for item in value["watch"]]}


_JSON_PARTS = {"blkio_config": _json_blkio, "deploy": _json_deploy, "develop": _json_develop}


def _without_extensions(value: Any) -> Any:
    """Compose's JSON leaves ``x-`` keys inside sections out."""
    if isinstance(value, dict):
        return {key: _without_extensions(item) for key, item in value.items() if not key.startswith("x-")}
    return [_without_extensions(item) for item in value] if isinstance(value, list) else value


def ordered_network(config: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for key in _NETWORK:
        value = config.get(key)
        if value is None or (not _given(value) and key not in _KEEP_EMPTY):
            continue
        if key == "ipam":
            value = {name: [{part: _sorted(pool[part]) for part in _POOL if part in pool} for pool in value[name]]
                     if name == "config" else value[name] for name in ("driver", "config") if name in value}
        result[key] = _sorted(value) if key not in ("ipam",) else value
    return {**result, **{key: config[key] for key in sorted(config) if key.startswith("x-")}}


def ordered_volume(config: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: _sorted(config[key]) for key in _VOLUME if _given(config.get(key))}
    return {**result, **{key: config[key] for key in sorted(config) if key.startswith("x-")}}


def ordered_file(config: Mapping[str, Any]) -> dict[str, Any]:
    """A secret or config."""
    result = {key: _sorted(config[key]) for key in _FILE if _given(config.get(key))}
    return {**result, **{key: config[key] for key in sorted(config) if key.startswith("x-")}}


def document(project: Project, *, as_json: bool = False) -> dict[str, Any]:
    """The whole project in print order."""
    result: dict[str, Any] = {"name": project.name}
    result["services"] = {name: ordered_service(service.config, as_json=as_json)
                          for name, service in sorted(project.services.items())}
    for section, function in (("networks", ordered_network), ("volumes", ordered_volume), ("secrets", ordered_file),
                              ("configs", ordered_file)):
        entries = getattr(project, section)
        if entries:
            result[section] = {name: function(entries[name]) for name in sorted(entries)}
    if project.models:
        result["models"] = _sorted(dict(project.models))
    for key in sorted(project.extensions):
        result[key] = _sorted(project.extensions[key])
    return result


def escaped(value: Any) -> Any:
    """``$`` doubled in every string, so that the output can be loaded again."""
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def for_json(value: dict[str, Any]) -> dict[str, Any]:
    """`document` as ``--format json`` has it: command and entrypoint always, sections sorted."""
    result = {key: value[key] for key in sorted(value)}
    for section in ("networks", "volumes", "secrets", "configs"):
        if section in result:
            result[section] = _without_extensions(result[section])
    if "networks" in result:
        result["networks"] = {name: json_network(entry) for name, entry in result["networks"].items()}
    return result


def json_network(ordered: dict[str, Any]) -> dict[str, Any]:
    """Compose's model always has an ``ipam``."""
    return {key: ordered.get(key, {}) for key in _NETWORK if key in ordered or key == "ipam"}


def go_json(value: Any, indent: int | None = None) -> str:
    """JSON as Go's encoder writes it."""
    import json

    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
