"""A project printed: Compose's field order, Go's JSON, YAML as Compose writes it."""

from __future__ import annotations

from solva.compose.attributes.service import ATTRIBUTES
from solva.compose.attributes.units import float_text
from solva.compose.errors import ComposeError
from solva.compose.load.yaml import Timestamp
from solva.compose.yamlout import Free, in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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
    "device": ("path", "weight", "rate"),
    "spec": ("kind", "value"),
    "image": ("subpath",),
    "develop": ("watch",),
    "resources": ("limits", "reservations"),
    "generic": ("discrete_resource_spec",),
    "preference": ("spread",),
    "provider": ("type", "options"),
    "credential_spec": ("config", "file", "registry"),
    "model": ("endpoint_var", "model_var"),
    "ipam": ("driver", "config"),
    "pool": ("subnet", "gateway", "ip_range", "aux_addresses"),
}
_NETWORK = ("name", "driver", "driver_opts", "ipam", "external", "internal", "attachable", "labels", "enable_ipv4",
            "enable_ipv6")
_VOLUME = ("name", "driver", "driver_opts", "external", "labels")
_FILE = ("name", "file", "environment", "content", "external", "labels", "driver", "driver_opts", "template_driver")
_MODEL = ("name", "model", "context_size", "runtime_flags")
_ALWAYS = frozenset((("dependency", "required"), ("ulimit", "soft"), ("ulimit", "hard"), ("spec", "kind"),
                     ("spec", "value"), ("device", "path"), ("device", "weight"), ("device", "rate"), ("watch", "path"),
                     ("watch", "action")))
# Sizes, whose "0" is as good as nothing.
_SIZES = frozenset(("mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness", "shm_size", "memory", "size"))
# Durations that are no pointers in Compose's model.
_PLAIN_DURATIONS = frozenset((("update_config", "delay"), ("update_config", "monitor")))
# Empty values that Compose's model keeps, since the field is a pointer there.
_KEEP_EMPTY = frozenset(("init", "attach", "scale", "replicas", "build", "deploy", "healthcheck", "logging", "bind",
                         "volume", "tmpfs", "image", "stop_grace_period", "command", "entrypoint", "credential_spec",
                         "develop", "parallelism", "max_attempts", "limits", "reservations", "blkio_config", "retries",
                         "enable_ipv4", "enable_ipv6", "restart_policy", "update_config", "rollback_config",
                         "provider", "discrete_resource_spec", "max_failure"))
_DICTS = frozenset(("build", "deploy", "healthcheck", "logging", "bind", "volume", "tmpfs", "image", "credential_spec",
                    "develop", "limits", "reservations", "blkio_config", "restart_policy", "update_config",
                    "rollback_config", "provider", "discrete_resource_spec"))
_ORDER = {name: index for index, name in enumerate(ATTRIBUTES)}


def _pick(value: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """``value`` in field order, ``x-`` keys last, empty fields left out."""
    fields = _FIELDS[kind]
    result = {}
    for key in fields:
        if key in value and (_shown(key, value[key]) or (kind, key) in _ALWAYS) and not (
                value[key] == "0s" and (kind, key) in _PLAIN_DURATIONS):
            result[key] = value[key]
    for key in in_order(value):
        if key.startswith("x-"):
            result[key] = value[key]
    return result


def _shown(key: str, value: Any) -> bool:
    """Whether Compose prints a field: not when it is empty, unless it is a pointer in Compose's model."""
    if value is None or (value == "0" and key in _SIZES):
        return False
    if key in _KEEP_EMPTY:
        # `tmpfs` and `image` are also the names of a list and a string.
        return value not in ("", []) or key in ("command", "entrypoint") if key not in _DICTS else (
            isinstance(value, dict) or _given(value))
    return _given(value)


def _given(value: Any) -> bool:
    return value not in (None, "", False, 0) and value != [] and value != {}


def _sorted(value: Any) -> Any:
    """Mappings with sorted keys, deep."""
    if isinstance(value, dict):
        return Free((key, _sorted(value[key])) for key in sorted(value))
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _service_part(name: str, value: Any) -> Any:
    part = _PARTS.get(name)
    if part is not None:
        return part(value)
    return _sorted_in(_pick(value, name)) if name in _RECORDS else _sorted(value)


def _sorted_in(value: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(item) for key, item in value.items()}


def _each(kind: str) -> Callable[[Any], Any]:
    return lambda value: [_sorted_in(_pick(item, kind)) for item in value]


def _by_name(kind: str) -> Callable[[Any], Any]:
    return lambda value: Free((key, _sorted_in(_pick(value[key], kind)) if isinstance(value[key], dict) else value[key])
                              for key in sorted(value))


def _mounts(value: Any) -> Any:
    result = []
    for item in value:
        shown = _pick(item, "volumes")
        for kind in ("bind", "volume", "tmpfs", "image"):
            if isinstance(shown.get(kind), dict):
                shown[kind] = _sorted_in(_pick(shown[kind], kind))
        result.append(shown)
    return result


def _blkio(value: Any) -> Any:
    result = _pick(value, "blkio_config")
    return {key: [_pick(entry, "device") for entry in item] if isinstance(item, list) else item
            for key, item in result.items()}


def _develop(value: Any) -> Any:
    result = _pick(value, "develop")
    if "watch" in result:
        result["watch"] = [{key: _sorted_in(_pick(item, "hooks")) if key == "exec" else _sorted(item)
                            for key, item in _pick(entry, "watch").items()} for entry in result["watch"]]
    return result


def _build(value: Mapping[str, Any]) -> dict[str, Any]:
    result = _pick(value, "build")
    parts: dict[str, Callable[[Any], Any]] = {"secrets": _each("configs"), "ulimits": _by_name("ulimit")}
    return {key: parts.get(key, _sorted)(item) for key, item in result.items()}


def _resource(value: Any) -> Any:
    result = _pick(value, "limits")
    if "devices" in result:
        result["devices"] = _each("request")(result["devices"])
    if "generic_resources" in result:
        result["generic_resources"] = [
            {key: _pick(item, "spec") if key == "discrete_resource_spec" else item
             for key, item in _pick(entry, "generic").items()} for entry in result["generic_resources"]]
    return result


def _deploy(value: Mapping[str, Any]) -> dict[str, Any]:
    result = _pick(value, "deploy")
    for key, kind in (("update_config", "update_config"), ("rollback_config", "update_config"),
                      ("restart_policy", "restart_policy"), ("placement", "placement"), ("resources", "resources")):
        if key in result:
            result[key] = _pick(result[key], kind)
    if "placement" in result and "preferences" in result["placement"]:
        result["placement"]["preferences"] = _each("preference")(result["placement"]["preferences"])
    for key in ("limits", "reservations"):
        if key in result.get("resources", {}):
            result["resources"][key] = _resource(result["resources"][key])
    if "labels" in result:
        result["labels"] = _sorted(result["labels"])
    return {key: item for key, item in result.items() if item != {} or key in _DICTS}


_RECORDS = frozenset(("healthcheck", "logging", "provider", "credential_spec"))
_PARTS: dict[str, Callable[[Any], Any]] = {
    "build": _build, "deploy": _deploy, "ports": _each("ports"), "devices": _each("devices"),
    "configs": _each("configs"), "secrets": _each("configs"), "volumes": _mounts, "networks": _by_name("network"),
    "depends_on": _by_name("dependency"), "ulimits": _by_name("ulimit"), "gpus": _each("request"),
    "pre_start": _each("hooks"), "post_start": _each("hooks"), "pre_stop": _each("hooks"), "develop": _develop,
    "models": _by_name("model"), "blkio_config": _blkio,
}


def ordered_service(config: Mapping[str, Any], *, as_json: bool = False) -> dict[str, Any]:
    """A service's attributes in Compose's order. ``as_json``: with the oddities of Compose's JSON."""
    result: dict[str, Any] = {}
    for name in _ORDER:
        value = config.get(name)
        if name in ("command", "entrypoint"):
            if value is not None or as_json:
                result[name] = value
        elif name in config and _shown(name, value):
            result[name] = _service_part(name, value)
            if as_json and name in _JSON_PARTS:
                result[name] = _JSON_PARTS[name](result[name])
    if as_json:
        plain: dict[str, Any] = _without_extensions(result)
        return plain
    for name in in_order(config):
        if name.startswith("x-"):
            result[name] = _sorted(config[name])
    return result


def _json_blkio(value: dict[str, Any]) -> dict[str, Any]:
    return {key: [{part.capitalize(): entry for part, entry in item.items()} for item in entries]
            if isinstance(entries, list) else entries for key, entries in value.items()}


def _json_deploy(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value.get(key, {}) for key in _FIELDS["deploy"] if key in value or key in ("resources", "placement")}


def _json_ulimits(value: dict[str, Any]) -> dict[str, Any]:
    return {key: {part: number for part, number in item.items() if number} if isinstance(item, dict) else item
            for key, item in value.items()}


def _json_env_files(value: list[Any]) -> list[Any]:
    return [item["path"] if item.get("required") else {key: item[key] for key in ("path", "required", "format")
                                                       if key == "required" or item.get(key)} for item in value]


def _json_hooks(value: list[Any]) -> list[Any]:
    return [{"command": None, **item} for item in value]


def _json_develop(value: dict[str, Any]) -> dict[str, Any]:
    order = _FIELDS["watch"]
    return {**value, "watch": [
        {key: {"command": None, **(item.get("exec") or {})} if key == "exec" else item[key]
         for key in order if key in item or key == "exec"} for item in value["watch"]]} if "watch" in value else value


_JSON_PARTS: dict[str, Callable[[Any], Any]] = {
    "blkio_config": _json_blkio, "deploy": _json_deploy, "develop": _json_develop, "ulimits": _json_ulimits,
    "build": lambda value: {key: _json_ulimits(item) if key == "ulimits" else item for key, item in value.items()},
    "env_file": _json_env_files, "pre_start": _json_hooks, "post_start": _json_hooks, "pre_stop": _json_hooks}


def _without_extensions(value: Any) -> Any:
    """Compose's JSON leaves ``x-`` keys inside sections out."""
    if isinstance(value, dict):
        return {key: _without_extensions(item) for key, item in value.items() if not key.startswith("x-")}
    return [_without_extensions(item) for item in value] if isinstance(value, list) else value


def ordered_network(config: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for key in _NETWORK:
        value = config.get(key)
        if not _shown(key, value):
            continue
        if key == "ipam":
            value = _pick(config["ipam"], "ipam")
            if "config" in value:
                value["config"] = _each("pool")(value["config"])
            if not value:
                continue
        result[key] = value if key == "ipam" else _sorted(value)
    return {**result, **_extensions(config)}


def _extensions(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _sorted(config[key]) for key in in_order(config) if key.startswith("x-")}


def ordered_volume(config: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: _sorted(config[key]) for key in _VOLUME if _given(config.get(key))}
    return {**result, **_extensions(config)}


def ordered_file(config: Mapping[str, Any]) -> dict[str, Any]:
    """A secret or config."""
    result = {key: _sorted(config[key]) for key in _FILE if _given(config.get(key))}
    if "environment" in result:
        result.pop("content", None)
    return {**result, **_extensions(config)}


def ordered_model(config: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: _sorted(config[key]) for key in _MODEL if _given(config.get(key))}
    return {**result, **_extensions(config)}


def document(project: Project, *, as_json: bool = False) -> dict[str, Any]:
    """The whole project in print order."""
    result: dict[str, Any] = {"name": project.name}
    result["services"] = Free((name, ordered_service(service.config, as_json=as_json))
                              for name, service in sorted(project.services.items()))
    for section, function in (("networks", ordered_network), ("volumes", ordered_volume), ("secrets", ordered_file),
                              ("configs", ordered_file)):
        entries = getattr(project, section)
        if entries:
            result[section] = Free((name, function(entries[name])) for name in sorted(entries))
    if project.models and not as_json:
        result["models"] = Free((name, ordered_model(project.models[name])) for name in sorted(project.models))
    for key in in_order(project.extensions):
        result[key] = _sorted(project.extensions[key])
    return result


def escaped(value: Any) -> Any:
    """``$`` doubled in every string, so that the output can be loaded again."""
    if isinstance(value, dict):
        return type(value)((escaped(key), escaped(item)) for key, item in value.items())
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, Timestamp):
        return str(value)
    return value.replace("$", "$$") if isinstance(value, str) else value


def plain(value: Any) -> Any:
    """A content as it is read, sorted, for output."""
    if isinstance(value, dict):
        return Free((key, plain(value[key])) for key in sorted(value))
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Timestamp) else value


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


def _go_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _go_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_go_numbers(item) for item in value]
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ComposeError(f"json: unsupported value: {float_text(value)}")
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value


def go_json(value: Any, indent: int | None = None) -> str:
    """JSON as Go's encoder writes it."""
    import json

    value = _go_numbers(value)
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
