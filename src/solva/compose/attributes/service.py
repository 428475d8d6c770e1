"""The attributes of a service: one row each, in the order Compose prints them."""

from __future__ import annotations

from solva.compose.attributes import convert as to
from solva.compose.attributes.row import Attribute
from solva.compose.attributes.shapes import (
    BOOLEAN,
    COMMAND,
    DEVICE_REQUESTS,
    EXTRA_HOSTS,
    FILE_REFERENCES,
    HOOKS,
    INTEGER,
    LIST_OR_DICT,
    MODE,
    NAME,
    NUMBER,
    OPTIONS,
    PORT,
    SIZE,
    STRING,
    STRING_OR_LIST,
    STRINGS,
    ULIMITS,
    Either,
    Items,
    Record,
    Scalar,
    Table,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LOAD = "consumed while loading"
_ORDER = "orders and selects services; no part of a container"
_SWARM = "of Swarm services; a single engine has no use for it"

BUILD = Record({
    "context": STRING, "dockerfile": STRING, "dockerfile_inline": STRING, "entitlements": Items(STRING),
    "args": LIST_OR_DICT, "ssh": LIST_OR_DICT, "labels": LIST_OR_DICT, "cache_from": Items(STRING),
    "cache_to": Items(STRING), "no_cache": BOOLEAN, "no_cache_filter": STRING_OR_LIST,
    "additional_contexts": LIST_OR_DICT, "network": STRING, "provenance": Scalar("string", "boolean"),
    "sbom": Scalar("string", "boolean"), "pull": BOOLEAN, "target": STRING, "shm_size": SIZE,
    "extra_hosts": EXTRA_HOSTS, "isolation": STRING, "privileged": BOOLEAN, "secrets": FILE_REFERENCES,
    "tags": Items(STRING), "ulimits": ULIMITS, "platforms": Items(STRING),
})
_LIMITS = Items(Record({"path": STRING, "rate": Scalar("integer", "string")}, extensions=False))
_BLKIO = Record({
    "device_read_bps": _LIMITS, "device_read_iops": _LIMITS, "device_write_bps": _LIMITS, "device_write_iops": _LIMITS,
    "weight": INTEGER,
    "weight_device": Items(Record({"path": STRING, "weight": INTEGER}, extensions=False)),
}, extensions=False)
_DEPENDS = Either(STRINGS, Table(Record({
    "restart": BOOLEAN, "required": Scalar("boolean"),
    "condition": Scalar("string", choices=("service_started", "service_healthy", "service_completed_successfully")),
}, required=("condition",)), NAME))
_UPDATE = Record({"parallelism": INTEGER, "delay": STRING, "failure_action": STRING, "monitor": STRING,
                  "max_failure_ratio": NUMBER,
                  "order": Scalar("string", choices=("start-first", "stop-first"))})
_GENERIC = Items(Record({"discrete_resource_spec": Record({"kind": STRING, "value": NUMBER})}))
_DEPLOY = Either(Scalar("null"), Record({
    "mode": STRING, "endpoint_mode": STRING, "replicas": INTEGER, "labels": LIST_OR_DICT, "rollback_config": _UPDATE,
    "update_config": _UPDATE,
    "resources": Record({
        "limits": Record({"cpus": NUMBER, "memory": STRING, "pids": INTEGER}),
        "reservations": Record({"cpus": NUMBER, "memory": STRING, "generic_resources": _GENERIC,
                                "devices": DEVICE_REQUESTS})}),
    "restart_policy": Record({"condition": STRING, "delay": STRING, "max_attempts": INTEGER, "window": STRING}),
    "placement": Record({"constraints": Items(STRING), "preferences": Items(Record({"spread": STRING})),
                         "max_replicas_per_node": INTEGER}),
}))
_HEALTH = Record({"disable": BOOLEAN, "interval": STRING, "retries": NUMBER, "test": Either(STRING, Items(STRING)),
                  "timeout": STRING, "start_period": STRING, "start_interval": STRING})
_DEVELOP = Either(Scalar("null"), Record({"watch": Items(Record({
    "ignore": STRING_OR_LIST, "include": STRING_OR_LIST, "path": STRING,
    "action": Scalar("string", choices=("rebuild", "sync", "restart", "sync+restart", "sync+exec")),
    "target": STRING, "exec": HOOKS.shape, "initial_sync": Scalar("boolean")}, required=("path", "action")))}))
_NETWORK = Record({"aliases": STRINGS, "interface_name": STRING, "ipv4_address": STRING, "ipv6_address": STRING,
                   "link_local_ips": STRINGS, "mac_address": STRING, "driver_opts": OPTIONS,
                   "priority": Scalar("number"), "gw_priority": Scalar("number")})
_PORTS = Items(Either(Scalar("number"), STRING, Record({
    "name": STRING, "mode": STRING, "host_ip": STRING, "target": INTEGER, "published": PORT, "protocol": STRING,
    "app_protocol": STRING})), unique=True)
_VOLUMES = Items(Either(STRING, Record({
    "type": Scalar("string", choices=("bind", "volume", "tmpfs", "cluster", "npipe", "image")), "source": STRING,
    "target": STRING, "read_only": BOOLEAN, "consistency": STRING,
    "bind": Record({"propagation": STRING, "create_host_path": BOOLEAN,
                    "recursive": Scalar("string", choices=("enabled", "disabled", "writable", "readonly")),
                    "selinux": Scalar("string", choices=("z", "Z"))}),
    "volume": Record({"labels": LIST_OR_DICT, "nocopy": BOOLEAN, "subpath": STRING}),
    "tmpfs": Record({"size": Scalar("integer", "string"), "mode": MODE}),
    "image": Record({"subpath": STRING})}, required=("type",))), unique=True)
_ENV_FILE = Either(STRING, Items(Either(STRING, Record({
    "path": STRING, "format": STRING, "required": BOOLEAN}, required=("path",), extensions=False))))
_PROVIDER = Record({"type": STRING, "options": Table(Either(
    Scalar("string", "number", "boolean"), Items(Scalar("string", "number", "boolean"))), "^.+$")}, required=("type",))
_MODELS = Either(STRINGS, Table(Record({"endpoint_var": STRING, "model_var": STRING}), NAME))
_UNIQUE_STRINGS = Items(Scalar("string", "number"), unique=True)


def _deploy(value: Any, path: Any) -> Any:
    result = dict(value or {})
    if "labels" in result:
        result["labels"] = to.labels(result["labels"], path)
    for key in ("update_config", "rollback_config", "restart_policy"):
        if isinstance(result.get(key), dict):
            result[key] = {name: to.duration(item, path) if name in ("delay", "monitor", "window") else item
                           for name, item in result[key].items()}
    resources = result.get("resources")
    if isinstance(resources, dict):
        result["resources"] = {name: _resource(item, path) if name in ("limits", "reservations") else item
                               for name, item in resources.items()}
    return result


def _resource(value: Any, path: Any) -> Any:
    result = dict(value)
    if "cpus" in result:
        result["cpus"] = to.number(result["cpus"], path)
    if "memory" in result:
        result["memory"] = to.size(result["memory"], path)
    if "devices" in result:
        result["devices"] = to.device_requests(result["devices"], path)
    return result


def _build(value: Any, path: Any) -> Any:
    result = dict(to.build(value, path))
    for key, function in _BUILD_PARTS.items():
        if result.get(key) is not None:
            result[key] = function(result[key], (*path, key))
    return result


_BUILD_PARTS: dict[str, to.Convert] = {
    "args": to.table, "labels": to.labels, "additional_contexts": to.labels, "ssh": to.ssh, "shm_size": to.size,
    "extra_hosts": to.hosts, "secrets": to.references, "ulimits": to.ulimits, "no_cache_filter": to.texts,
    "provenance": to.text, "sbom": to.text,
}


def _health(value: Any, path: Any) -> Any:
    result = dict(value)
    if "test" in result:
        result["test"] = to.health_test(result["test"], path)
        first = result["test"][:1]
        if first and first[0] not in ("NONE", "CMD", "CMD-SHELL"):
            raise ValueError('healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"')
    for key in ("interval", "timeout", "start_period", "start_interval"):
        if key in result:
            result[key] = to.duration(result[key], path)
    if "retries" in result:
        result["retries"] = int(result["retries"])
    return result


def _networks(value: Any, path: Any) -> Any:
    result = {}
    for name, item in to.networks(value, path).items():
        if item and "driver_opts" in item:
            item = {**item, "driver_opts": to.options(item["driver_opts"], path)}
        result[name] = item
    return result


def _blkio(value: Any, path: Any) -> Any:
    result = dict(value)
    for key in ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"):
        if key in result:
            result[key] = [{**item, "rate": to.size(item["rate"], path)} for item in result[key]]
    return result


def _logging(value: Any, path: Any) -> Any:
    result = dict(value)
    if "options" in result:
        result["options"] = to.options(result["options"], path)
    return result


def _hooks(value: Any, path: Any) -> Any:
    result = []
    for item in value:
        hook = {**item, "command": to.command(item["command"], path)}
        if "environment" in hook:
            hook["environment"] = to.table(hook["environment"], path)
        result.append(hook)
    return result


def _develop(value: Any, path: Any) -> Any:
    if not value:
        return None
    watches = [{**item, **{key: to.texts(item[key], path) for key in ("ignore", "include") if key in item}}
               for item in value.get("watch") or ()]
    return {**value, "watch": watches} if watches else value


def _models(value: Any, path: Any) -> Any:
    return dict.fromkeys(value) if isinstance(value, list) else value


def _files(value: Any, path: Any) -> Any:
    return [{**item, "mode": to.mode(item["mode"], path)} if "mode" in item else item
            for item in to.references(value, path)]


def _secret_files(value: Any, path: Any) -> Any:
    return to.secrets(_files(value, path), path)


A = Attribute
_ROWS = (
    A("profiles", STRINGS, to.unique, merge="unique", note=_ORDER),
    A("annotations", LIST_OR_DICT, to.labels),
    A("attach", BOOLEAN, note="whether `up` shows the service's output"),
    A("build", Either(STRING, BUILD), _build, path="build", note="of the image, not of the container"),
    A("develop", _DEVELOP, _develop, path="develop", note="for `watch`"),
    A("blkio_config", _BLKIO, _blkio),
    A("cap_add", Items(STRING, unique=True), merge="unique"),
    A("cap_drop", Items(STRING, unique=True), merge="unique"),
    A("cgroup_parent", STRING),
    A("cgroup", Scalar("string", choices=("host", "private"))),
    A("cpu_count", INTEGER, to.integer),
    A("cpu_percent", Scalar("integer", "string", most=(0, 100), cast="number"), to.number),
    A("cpu_period", NUMBER, to.integer),
    A("cpu_quota", NUMBER, to.integer),
    A("cpu_rt_period", NUMBER, to.integer),
    A("cpu_rt_runtime", NUMBER, to.integer),
    A("cpus", NUMBER, to.number32),
    A("cpuset", STRING),
    A("cpu_shares", NUMBER, to.integer),
    A("command", COMMAND, to.command, merge="override"),
    A("configs", FILE_REFERENCES, _files, merge="by target or source"),
    A("container_name", Scalar("string", pattern="[a-zA-Z0-9][a-zA-Z0-9_.-]+"), note="the container's name"),
    A("credential_spec", Record({"config": STRING, "file": STRING, "registry": STRING})),
    A("depends_on", _DEPENDS, to.depends_on, note=_ORDER),
    A("deploy", _DEPLOY, _deploy),
    A("device_cgroup_rules", STRINGS, to.texts),
    A("devices", Items(Either(STRING, Record({"source": STRING, "target": STRING, "permissions": STRING},
                                             required=("source",)))), to.devices, merge="by target"),
    A("dns", STRING_OR_LIST, to.texts, merge="unique"),
    A("dns_opt", Items(STRING, unique=True), to.texts, merge="unique"),
    A("dns_search", STRING_OR_LIST, to.texts, merge="unique"),
    A("domainname", STRING),
    A("entrypoint", COMMAND, to.command, merge="override"),
    A("provider", _PROVIDER, note="another program runs the service"),
    A("environment", LIST_OR_DICT, to.table),
    A("env_file", _ENV_FILE, to.env_files, merge="by path", path="env_file", note=_LOAD),
    A("expose", _UNIQUE_STRINGS, to.texts, merge="unique"),
    A("extends", Either(STRING, Record({"service": STRING, "file": STRING}, required=("service",), extensions=False)),
      to.extends, note=_LOAD),
    A("external_links", Items(STRING, unique=True), merge="unique"),
    A("extra_hosts", EXTRA_HOSTS, to.hosts, merge="unique"),
    A("group_add", _UNIQUE_STRINGS, to.texts, merge="unique"),
    A("gpus", Either(Scalar("string", choices=("all",)), DEVICE_REQUESTS), to.gpus),
    A("hostname", STRING),
    A("healthcheck", _HEALTH, _health),
    A("image", STRING),
    A("init", BOOLEAN),
    A("ipc", STRING),
    A("isolation", STRING),
    A("labels", LIST_OR_DICT, to.labels),
    A("label_file", Either(STRING, Items(STRING)), to.texts, merge="unique", path="label_file", note=_LOAD),
    A("links", Items(STRING, unique=True), merge="unique"),
    A("logging", Record({"driver": STRING, "options": Table(Scalar("string", "number", "null"), "^.+$")}), _logging,
      merge="logging"),
    A("mem_limit", SIZE, to.size),
    A("mem_reservation", SIZE, to.size),
    A("memswap_limit", SIZE, to.size),
    A("mem_swappiness", Scalar("integer", "string"), to.size),
    A("mac_address", STRING),
    A("models", _MODELS, _models, note="of Docker's model runner, which no engine here has"),
    A("network_mode", STRING),
    A("networks", Either(STRINGS, Table(Either(_NETWORK, Scalar("null")), NAME)), _networks),
    A("oom_kill_disable", BOOLEAN),
    A("oom_score_adj", Scalar("integer", "string", most=(-1000, 1000), cast="integer"), to.integer),
    A("pid", Scalar("string", "null")),
    A("pids_limit", NUMBER, to.integer),
    A("platform", STRING, note="a parameter of the request, not of its body"),
    A("ports", _PORTS, to.ports, merge="ports"),
    A("privileged", BOOLEAN),
    A("pull_policy", Scalar("string", pattern=(
        "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+")),
      note="when the image is fetched"),
    A("pull_refresh_after", STRING, note="when the image is fetched"),
    A("read_only", BOOLEAN),
    A("restart", STRING),
    A("runtime", STRING),
    A("scale", INTEGER, to.integer, note=_ORDER),
    A("secrets", FILE_REFERENCES, _secret_files, merge="by target or source"),
    A("security_opt", Items(STRING, unique=True), merge="unique", path="security_opt"),
    A("shm_size", SIZE, to.size),
    A("stdin_open", BOOLEAN),
    A("stop_grace_period", STRING, to.duration),
    A("stop_signal", STRING),
    A("storage_opt", Table(Scalar("string", "number", "boolean")), to.options),
    A("sysctls", LIST_OR_DICT, to.labels),
    A("tmpfs", STRING_OR_LIST, to.texts, merge="unique"),
    A("tty", BOOLEAN),
    A("ulimits", ULIMITS, to.ulimits, merge="ulimits"),
    A("use_api_socket", Scalar("boolean")),
    A("user", STRING),
    A("userns_mode", STRING),
    A("uts", STRING),
    A("volumes", _VOLUMES, to.volumes, merge="by target", path="volumes"),
    A("volumes_from", Items(STRING, unique=True), merge="unique"),
    A("working_dir", STRING),
    A("post_start", HOOKS, _hooks, note="run after the start"),
    A("pre_stop", HOOKS, _hooks, note="run before a stop"),
)
ATTRIBUTES: dict[str, Attribute] = {row.name: row for row in _ROWS}
SHAPE = Record({row.name: row.shape for row in _ROWS})
