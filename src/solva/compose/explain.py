"""Why a container no longer is what the files say: which attribute, from what to what.

The wanted request is compared with the container as ``inspect`` tells it, less what its image and the engine add. So
containers that another Compose made are explained as well. Pure.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Table = Mapping[str, Any]

_CONFIG = {
    "Image": "image", "Cmd": "command", "Entrypoint": "entrypoint", "User": "user", "WorkingDir": "working_dir",
    "Hostname": "hostname", "Domainname": "domainname", "Tty": "tty", "OpenStdin": "stdin_open",
    "StopSignal": "stop_signal", "StopTimeout": "stop_grace_period", "Healthcheck": "healthcheck",
}
_HOST = {
    "Privileged": "privileged", "ReadonlyRootfs": "read_only", "CapAdd": "cap_add", "CapDrop": "cap_drop",
    "Dns": "dns", "DnsOptions": "dns_opt", "DnsSearch": "dns_search", "ExtraHosts": "extra_hosts",
    "GroupAdd": "group_add", "IpcMode": "ipc", "PidMode": "pid", "UTSMode": "uts", "UsernsMode": "userns_mode",
    "CgroupnsMode": "cgroup", "NetworkMode": "network_mode", "Init": "init", "Runtime": "runtime",
    "Isolation": "isolation", "Sysctls": "sysctls", "SecurityOpt": "security_opt", "StorageOpt": "storage_opt",
    "OomScoreAdj": "oom_score_adj", "OomKillDisable": "oom_kill_disable", "VolumesFrom": "volumes_from",
    "Annotations": "annotations", "Tmpfs": "tmpfs", "LogConfig": "logging", "RestartPolicy": "restart",
    "NanoCpus": "cpus", "CpuShares": "cpu_shares", "CpuQuota": "cpu_quota", "CpuPeriod": "cpu_period",
    "CpuRealtimePeriod": "cpu_rt_period", "CpuRealtimeRuntime": "cpu_rt_runtime", "CpusetCpus": "cpuset",
    "CpuCount": "cpu_count", "CpuPercent": "cpu_percent", "CgroupParent": "cgroup_parent", "Memory": "mem_limit",
    "MemoryReservation": "mem_reservation", "MemorySwap": "memswap_limit", "MemorySwappiness": "mem_swappiness",
    "PidsLimit": "pids_limit", "ShmSize": "shm_size", "Ulimits": "ulimits", "Devices": "devices",
    "DeviceCgroupRules": "device_cgroup_rules", "DeviceRequests": "gpus", "BlkioWeight": "blkio_config.weight",
    "BlkioWeightDevice": "blkio_config.weight_device", "BlkioDeviceReadBps": "blkio_config.device_read_bps",
    "BlkioDeviceReadIOps": "blkio_config.device_read_iops", "BlkioDeviceWriteBps": "blkio_config.device_write_bps",
    "BlkioDeviceWriteIOps": "blkio_config.device_write_iops",
}
# What the engine writes where nothing was asked for, beyond empty values.
_ENGINE: dict[str, tuple[Any, ...]] = {
    "IpcMode": ("private", "shareable"), "CgroupnsMode": ("private", "host"), "ShmSize": (67108864,),
    "Runtime": ("runc", "crun"), "RestartPolicy": ({"Name": "no"}, {"Name": "no", "MaximumRetryCount": 0}),
    "Isolation": ("default",), "StopSignal": ("SIGTERM",), "MemorySwap": (-1,), "MemorySwappiness": (-1,),
}
_FROM_IMAGE = frozenset(("Cmd", "Entrypoint", "User", "WorkingDir", "StopSignal", "Healthcheck"))
_OURS = ("com.docker.compose.", "solva.compose.", "desktop.docker.io/")


def differences(wanted: Table, container: Table, image: Table) -> list[str]:
    """Each as ``attribute: before → after``. ``wanted``: the body of the create request; the others as inspected."""
    config, host = container.get("Config") or {}, container.get("HostConfig") or {}
    want_host = wanted.get("HostConfig") or {}
    base = image.get("Config") or {}
    found: list[str] = []
    for field, attribute in _CONFIG.items():
        before, after = config.get(field), wanted.get(field)
        if field in _FROM_IMAGE and not _set(after):
            after = base.get(field)
        if field == "Hostname" and not after:
            continue
        if field == "Cmd" and wanted.get("Entrypoint") and not wanted.get("Cmd"):
            after = None
        found += _difference(attribute, field, before, after)
    found += _mapping("environment", _less(_pairs(config.get("Env")), _pairs(base.get("Env")), wanted.get("Env")),
                      _pairs(wanted.get("Env")))
    found += _mapping("labels", _labels(config.get("Labels"), base.get("Labels"), wanted.get("Labels")),
                      _labels(wanted.get("Labels"), {}, {}))
    for field, attribute in _HOST.items():
        if field == "NetworkMode" and not _special(want_host.get(field)) and not _special(host.get(field)):
            continue            # a network's name: the networks below say it
        found += _difference(attribute, field, host.get(field), want_host.get(field))
    found += _mapping("ports", _ports(host.get("PortBindings")), _ports(want_host.get("PortBindings")))
    found += _mapping("volumes", _mounts(host), _mounts(want_host))
    found += _networks(container, wanted)
    return found


def _special(mode: Any) -> bool:
    text = str(mode or "")
    return text in ("host", "none") or text.startswith("container:")


def _set(value: Any) -> bool:
    return value not in (None, "", 0, False) and value != [] and value != {}


def _difference(attribute: str, field: str, before: Any, after: Any) -> Iterator[str]:
    if _same(field, before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict) and field != "Healthcheck":
        yield from _mapping(attribute, before, after)
        return
    yield f"{attribute}: {show(before)} → {show(after)}"


def _same(field: str, before: Any, after: Any) -> bool:
    if field == "LogConfig":
        before, after = before or {}, after or {}
        if not after:
            return not before.get("Config") or before.get("Type") in ("json-file", "local")
        return bool(before.get("Type") == (after.get("Type") or before.get("Type"))
                    and (before.get("Config") or {}) == (after.get("Config") or {}))
    if not _set(before) and not _set(after):
        return True
    if not _set(after) and before in _ENGINE.get(field, ()):
        return True
    if field == "MemorySwap" and not _set(after):
        return True             # the engine doubles mem_limit
    if field in ("CapAdd", "CapDrop"):
        return _capabilities(before) == _capabilities(after)
    if field == "VolumesFrom" and before and after:
        return len(before) == len(after)
    if field in ("PidMode", "IpcMode", "NetworkMode") and str(before).startswith("container:"):
        return str(after).startswith("container:")
    if isinstance(before, dict) and isinstance(after, dict):
        return {key: value for key, value in before.items() if _set(value)} == {
            key: value for key, value in after.items() if _set(value)}
    if isinstance(before, list) and isinstance(after, list) and field in ("Ulimits", "Devices", "DeviceRequests"):
        return sorted(map(repr, before)) == sorted(map(repr, after)) or len(before) == len(after)
    return bool(before == after)


def _capabilities(value: Any) -> set[str]:
    return {str(item).upper().removeprefix("CAP_") for item in value or ()}


def _pairs(rows: Iterable[str] | None) -> dict[str, str | None]:
    return {key: value if mark else None for key, mark, value in (row.partition("=") for row in rows or ())}


def _less(there: dict[str, str | None], image: dict[str, str | None], wanted: Any) -> dict[str, str | None]:
    """What is there without what only the image brought."""
    asked = _pairs(wanted)
    return {key: value for key, value in there.items() if key in asked or image.get(key) != value}


def _labels(there: Any, image: Any, wanted: Any) -> dict[str, str]:
    return {key: value for key, value in (there or {}).items() if not key.startswith(_OURS)
            and (key in (wanted or {}) or (image or {}).get(key) != value)}


def _ports(bindings: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for port, hosts in (bindings or {}).items():
        shown = sorted(f"{entry.get('HostIp') or '*'}:{entry.get('HostPort') or '(any)'}" for entry in hosts or ())
        found[port] = ", ".join(shown)
    return found


def _mounts(host: Table) -> dict[str, str]:
    found: dict[str, str] = {}
    for bind in host.get("Binds") or ():
        source, _, rest = bind.partition(":")
        target, _, options = rest.partition(":")
        if len(source) != 64:           # an anonymous volume that a successor took over
            found[target] = f"{source}{_options(options.split(','))}"
    for mount in host.get("Mounts") or ():
        source = mount.get("Source") or ""
        if source or mount.get("Type") != "volume":
            words = ["ro" if mount.get("ReadOnly") else ""]
            size = (mount.get("TmpfsOptions") or {}).get("SizeBytes")
            found[mount["Target"]] = f"{source or mount['Type']}{_options(words)}{f' size={size}' if size else ''}"
    return found


def _options(words: Iterable[str]) -> str:
    kept = sorted(word for word in words if word and word not in ("rw", "z", "Z"))
    return f" ({','.join(kept)})" if kept else ""


def _networks(container: Table, wanted: Table) -> Iterator[str]:
    there = (container.get("NetworkSettings") or {}).get("Networks") or {}
    ends = (wanted.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    if not ends:
        return
    for name in sorted({*there, *ends}):
        if name not in there or name not in ends:
            yield f"networks: {'+' if name in ends else '−'} {name}"
            continue
        before, after = there[name] or {}, ends[name] or {}
        own = {container.get("Id", "")[:12], container.get("Name", "").lstrip("/")}
        aliases = [{item for item in entry.get("Aliases") or () if item not in own} for entry in (before, after)]
        if aliases[0] != aliases[1]:
            yield f"networks.{name}.aliases: {show(sorted(aliases[0]))} → {show(sorted(aliases[1]))}"
        for field, attribute in (("IPv4Address", "ipv4_address"), ("IPv6Address", "ipv6_address")):
            pair = [(entry.get("IPAMConfig") or {}).get(field) or "" for entry in (before, after)]
            if pair[0] != pair[1]:
                yield f"networks.{name}.{attribute}: {show(pair[0])} → {show(pair[1])}"
        for field, attribute in (("DriverOpts", "driver_opts"), ("Links", "links")):
            if (before.get(field) or None) != (after.get(field) or None):
                yield f"networks.{name}.{attribute}: {show(before.get(field))} → {show(after.get(field))}"


def _mapping(attribute: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*before, *after}):
        if key not in before:
            yield f"{attribute}.{key}: added as {show(after[key])}"
        elif key not in after:
            yield f"{attribute}.{key}: {show(before[key])} removed"
        elif before[key] != after[key]:
            yield f"{attribute}.{key}: {show(before[key])} → {show(after[key])}"


def show(value: Any) -> str:
    """A value in a line, cut where it is long."""
    if not _set(value) and value is not False:
        return "(unset)"
    if isinstance(value, str):
        text = value if value and value.isprintable() and " " not in value else repr(value)
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = "[" + ", ".join(value) + "]"
    else:
        from solva.client.fastjson import dumps

        text = dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"
