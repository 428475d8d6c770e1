"""The attributes of a service: one row each, in the order Compose prints them."""

from __future__ import annotations

from solva.compose.attributes import convert as to
from solva.compose.attributes.row import Attribute

_LOAD = "consumed while loading"
_ORDER = "orders and selects services; no part of a container"

HOOK = to.record({"command": to.command, "user": to.string, "privileged": to.boolean, "working_dir": to.string,
                  "environment": to.table})
HOOKS = to.items(HOOK)
DEVICE_REQUESTS = to.items(to.record({
    "capabilities": to.strings, "driver": to.string, "count": to.count, "device_ids": to.strings,
    "options": to.labels}, extensions=False))
FILE_REFERENCES = to.items(to.record({
    "source": to.string, "target": to.string, "uid": to.string, "gid": to.string, "mode": to.mode}))
ULIMITS = to.table_of(to.ulimit)
BUILD = to.record({
    "context": to.string, "dockerfile": to.string, "dockerfile_inline": to.string, "entitlements": to.strings,
    "args": to.table, "provenance": to.string, "sbom": to.string, "ssh": to.ssh, "labels": to.labels,
    "cache_from": to.string_list, "cache_to": to.string_list, "no_cache": to.boolean,
    "no_cache_filter": to.string_list, "additional_contexts": to.labels, "pull": to.boolean, "extra_hosts": to.hosts,
    "isolation": to.string, "network": to.string, "target": to.string, "secrets": FILE_REFERENCES, "shm_size": to.size,
    "tags": to.string_list, "ulimits": ULIMITS, "platforms": to.string_list, "privileged": to.boolean,
})
_LIMITS = to.items(to.record({"path": to.string, "rate": to.size}, extensions=False,
                             defaults={"path": "", "rate": "0"}))
_BLKIO = to.record({
    "weight": to.unsigned,
    "weight_device": to.items(to.record({"path": to.string, "weight": to.unsigned}, extensions=False,
                                        defaults={"path": "", "weight": 0})),
    "device_read_bps": _LIMITS, "device_read_iops": _LIMITS, "device_write_bps": _LIMITS, "device_write_iops": _LIMITS})
_DEPENDS = to.table_of(to.record({"condition": to.string, "restart": to.boolean, "required": to.boolean}))
_UPDATE = to.record({
    "parallelism": to.unsigned, "delay": to.duration, "failure_action": to.string, "monitor": to.duration,
    "max_failure_ratio": to.number32, "order": to.string})
_GENERIC = to.items(to.record({"discrete_resource_spec": to.record({"kind": to.string, "value": to.integer})}))
_RESOURCE = to.record({
    "cpus": to.number32, "memory": to.size, "pids": to.integer, "devices": DEVICE_REQUESTS,
    "generic_resources": _GENERIC})
DEPLOY = to.record({
    "mode": to.string, "replicas": to.integer, "labels": to.labels, "update_config": _UPDATE,
    "rollback_config": _UPDATE, "resources": to.record({"limits": _RESOURCE, "reservations": _RESOURCE}),
    "restart_policy": to.record({"condition": to.string, "delay": to.duration, "max_attempts": to.unsigned,
                                 "window": to.duration}),
    "placement": to.record({"constraints": to.strings, "preferences": to.items(to.record({"spread": to.string})),
                            "max_replicas_per_node": to.unsigned}),
    "endpoint_mode": to.string})
_HEALTH = to.record({
    "test": to.health_test, "timeout": to.duration, "interval": to.duration, "retries": to.unsigned,
    "start_period": to.duration, "start_interval": to.duration, "disable": to.boolean})
_DEVELOP = to.record({"watch": to.items(to.record({
    "path": to.string, "action": to.string, "target": to.string, "exec": HOOK, "include": to.strings,
    "ignore": to.strings, "initial_sync": to.boolean}))})
_NETWORK = to.record({
    "aliases": to.strings, "driver_opts": to.options, "gw_priority": to.integer, "interface_name": to.string,
    "ipv4_address": to.string, "ipv6_address": to.string, "link_local_ips": to.strings, "mac_address": to.string,
    "priority": to.integer})
_PORTS = to.items(to.record({
    "name": to.string, "mode": to.string, "host_ip": to.string, "target": to.unsigned, "published": to.string,
    "protocol": to.string, "app_protocol": to.string}))
_VOLUMES = to.items(to.record({
    "type": to.string, "source": to.string, "target": to.string, "read_only": to.boolean, "consistency": to.string,
    "bind": to.record({"selinux": to.string, "propagation": to.string, "create_host_path": to.boolean,
                       "recursive": to.string}),
    "volume": to.record({"labels": to.labels, "nocopy": to.boolean, "subpath": to.string}),
    "tmpfs": to.record({"size": to.size, "mode": to.unsigned}),
    "image": to.record({"subpath": to.string})}))
_ENV_FILES = to.items(to.record({"path": to.string, "required": to.boolean, "format": to.string}, extensions=False))

A = Attribute
_ROWS = (
    A("profiles", to.strings, note=_ORDER),
    A("annotations", to.labels),
    A("attach", to.boolean, note="whether `up` shows the service's output"),
    A("build", BUILD, note="of the image, not of the container"),
    A("develop", _DEVELOP, note="for `watch`"),
    A("blkio_config", _BLKIO),
    A("cap_add", to.strings),
    A("cap_drop", to.strings),
    A("cgroup_parent"),
    A("cgroup"),
    A("cpu_count", to.integer),
    A("cpu_percent", to.number32),
    A("cpu_period", to.integer),
    A("cpu_quota", to.integer),
    A("cpu_rt_period", to.integer),
    A("cpu_rt_runtime", to.integer),
    A("cpus", to.number32),
    A("cpuset"),
    A("cpu_shares", to.integer),
    A("command", to.command),
    A("configs", FILE_REFERENCES),
    A("container_name", note="the container's name, a parameter of the request"),
    A("credential_spec", to.record({"config": to.string, "file": to.string, "registry": to.string}),
      note="of Windows containers; Compose sends none of it either, a warning says so"),
    A("depends_on", _DEPENDS, note=_ORDER),
    A("deploy", DEPLOY),
    A("device_cgroup_rules", to.strings),
    A("devices", to.items(to.record({"source": to.string, "target": to.string, "permissions": to.string}))),
    A("dns", to.string_list),
    A("dns_opt", to.strings),
    A("dns_search", to.string_list),
    A("domainname"),
    A("entrypoint", to.command),
    A("provider", to.record({"type": to.string, "options": to.many_options}), note="another program runs the service"),
    A("environment", to.table),
    A("env_file", _ENV_FILES, note=_LOAD),
    A("expose", to.texts),
    A("extends", to.record({"file": to.string, "service": to.string}, extensions=False), note=_LOAD),
    A("external_links", to.strings),
    A("extra_hosts", to.hosts),
    A("group_add", to.strings),
    A("gpus", DEVICE_REQUESTS),
    A("hostname"),
    A("healthcheck", _HEALTH),
    A("image"),
    A("init", to.boolean),
    A("ipc"),
    A("isolation"),
    A("labels", to.labels),
    A("label_file", to.string_list, note=_LOAD),
    A("links", to.strings),
    A("logging", to.record({"driver": to.string, "options": to.options})),
    A("mem_limit", to.size),
    A("mem_reservation", to.size),
    A("memswap_limit", to.size),
    A("mem_swappiness", to.size),
    A("mac_address"),
    A("models", to.table_of(to.record({"endpoint_var": to.string, "model_var": to.string})),
      note="handed to the container as environment by the verb that starts it"),
    A("network_mode"),
    A("networks", to.table_of(_NETWORK)),
    A("oom_kill_disable", to.boolean),
    A("oom_score_adj", to.integer),
    A("pid"),
    A("pids_limit", to.integer),
    A("platform", note="a parameter of the request, not of its body"),
    A("ports", _PORTS),
    A("privileged", to.boolean),
    A("pull_policy", note="when the image is fetched"),
    A("read_only", to.boolean),
    A("restart"),
    A("runtime"),
    A("scale", to.integer, note=_ORDER),
    A("secrets", FILE_REFERENCES),
    A("security_opt", to.strings),
    A("shm_size", to.size),
    A("stdin_open", to.boolean),
    A("stop_grace_period", to.duration),
    A("stop_signal"),
    A("storage_opt", to.plain_options),
    A("sysctls", to.labels),
    A("tmpfs", to.string_list),
    A("tty", to.boolean),
    A("ulimits", ULIMITS),
    A("use_api_socket", to.boolean),
    A("user"),
    A("userns_mode"),
    A("uts"),
    A("volumes", _VOLUMES),
    A("volumes_from", to.strings),
    A("working_dir"),
    A("pre_start", HOOKS, note="run before the start, in a container of its own"),
    A("post_start", HOOKS, note="run after the start"),
    A("pre_stop", HOOKS, note="run before a stop"),
)
ATTRIBUTES: dict[str, Attribute] = {row.name: row for row in _ROWS}
# Known to the schema, without a place in Compose's model: why.
UNUSED = {"pull_refresh_after": "superseded by `pull_policy: every_...`; Docker Compose does nothing with it"}
