"""Limits: memory, processors, processes, block devices, and the devices themselves."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.project import Service

    Body = dict[str, Any]


def _number(field: str) -> Callable[[Any, Body, Body], None]:
    def effect(value: Any, config: Body, host: Body) -> None:
        host[field] = int(value)
    return effect


def _text(field: str) -> Callable[[Any, Body, Body], None]:
    def effect(value: Any, config: Body, host: Body) -> None:
        host[field] = value
    return effect


def cpus(value: Any, config: Body, host: Body) -> None:
    """Docker Compose reckons with single precision; so do we, for the same request."""
    import struct

    def single(number: float) -> float:
        found: float = struct.unpack("f", struct.pack("f", number))[0]
        return found

    host["NanoCpus"] = int(single(single(float(value)) * 1e9))


def cpu_percent(value: Any, config: Body, host: Body) -> None:
    host["CpuPercent"] = int(float(value) * 100)


def deploy(value: dict[str, Any], config: Body, host: Body) -> None:
    resources = value.get("resources") or {}
    limits = resources.get("limits") or {}
    reservations = resources.get("reservations") or {}
    if limits.get("cpus"):
        cpus(limits["cpus"], config, host)
    if int(limits.get("memory") or 0):
        host["Memory"] = int(limits["memory"])
    if int(limits.get("pids") or 0) > 0:
        host["PidsLimit"] = int(limits["pids"])
    if int(reservations.get("memory") or 0):
        host["MemoryReservation"] = int(reservations["memory"])
    policy = value.get("restart_policy")
    if policy is not None:      # it wins over `restart`
        host["RestartPolicy"] = {"Name": restart_name(policy.get("condition", "")),
                                 "MaximumRetryCount": int(policy.get("max_attempts") or 0)}


def restart_name(condition: str) -> str:
    """A restart condition as the engine names it."""
    return {"none": "no", "any": "always"}.get(condition, condition)


def device_requests(service: Service, host: Body) -> None:
    """Of ``deploy``, then CDI devices, then ``gpus``."""
    resources = (service.get("deploy") or {}).get("resources") or {}
    requests = [_request(item, item.get("capabilities") or [])
                for item in (resources.get("reservations") or {}).get("devices") or ()]
    named = [item["source"] for item in service.get("devices") or () if is_cdi(item)]
    if named:
        requests.append({"Driver": "cdi", "DeviceIDs": named})
    requests += [_request(item, [*(item.get("capabilities") or ()), "gpu"]) for item in service.get("gpus") or ()]
    if requests:
        host["DeviceRequests"] = requests


def _request(item: Body, capabilities: list[str]) -> Body:
    return {"Capabilities": [capabilities], "Count": int(item.get("count", 0)), "Driver": item.get("driver", ""),
            "DeviceIDs": item.get("device_ids") or None, "Options": item.get("options") or {}}


_CDI = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?="
                  r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?\Z")


def is_cdi(item: Body) -> bool:
    """Whether a device is named as the Container Device Interface does: ``vendor.com/class=name``."""
    return item.get("source") == item.get("target") and _CDI.match(item.get("source", "")) is not None


def ulimits(value: dict[str, Any], config: Body, host: Body) -> None:
    host["Ulimits"] = [
        {"Name": name, "Soft": item.get("soft", 0), "Hard": item.get("hard", 0)} if isinstance(item, dict)
        else {"Name": name, "Soft": item, "Hard": item} for name, item in sorted(value.items())]


def devices(value: list[dict[str, Any]], config: Body, host: Body) -> None:
    found = [{"PathOnHost": item["source"], "PathInContainer": item.get("target") or item["source"],
                        "CgroupPermissions": item.get("permissions") or "rwm"} for item in value if not is_cdi(item)]
    if found:
        host["Devices"] = found


def blkio_config(value: dict[str, Any], config: Body, host: Body) -> None:
    if "weight" in value:
        host["BlkioWeight"] = int(value["weight"])
    if "weight_device" in value:
        host["BlkioWeightDevice"] = [{"Path": item["path"], "Weight": int(item["weight"])}
                                     for item in value["weight_device"]]
    for name, field in (("device_read_bps", "BlkioDeviceReadBps"), ("device_read_iops", "BlkioDeviceReadIOps"),
                        ("device_write_bps", "BlkioDeviceWriteBps"), ("device_write_iops", "BlkioDeviceWriteIOps")):
        if name in value:
            host[field] = [{"Path": item["path"], "Rate": int(item["rate"])} for item in value[name]]


EFFECTS: dict[str, Callable[[Any, Body, Body], None]] = {
    "cpus": cpus, "deploy": deploy, "ulimits": ulimits, "devices": devices,
    "blkio_config": blkio_config, "cpu_count": _number("CpuCount"), "cpu_percent": cpu_percent,
    "cpu_period": _number("CpuPeriod"), "cpu_quota": _number("CpuQuota"),
    "cpu_rt_period": _number("CpuRealtimePeriod"), "cpu_rt_runtime": _number("CpuRealtimeRuntime"),
    "cpu_shares": _number("CpuShares"), "cpuset": _text("CpusetCpus"), "cgroup_parent": _text("CgroupParent"),
    "device_cgroup_rules": _text("DeviceCgroupRules"), "mem_limit": _number("Memory"),
    "mem_reservation": _number("MemoryReservation"), "memswap_limit": _number("MemorySwap"),
    "mem_swappiness": _number("MemorySwappiness"), "oom_kill_disable": _text("OomKillDisable"),
    "pids_limit": _number("PidsLimit"), "shm_size": _number("ShmSize"),
}
