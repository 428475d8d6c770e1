"""Limits: memory, processors, processes, block devices, and the devices themselves."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

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
    host["NanoCpus"] = round(float(value) * 1_000_000_000)


def deploy(value: dict[str, Any], config: Body, host: Body) -> None:
    resources = value.get("resources") or {}
    limits = resources.get("limits") or {}
    reservations = resources.get("reservations") or {}
    if "cpus" in limits:
        cpus(limits["cpus"], config, host)
    if "memory" in limits:
        host["Memory"] = int(limits["memory"])
    if "pids" in limits:
        host["PidsLimit"] = int(limits["pids"])
    if "memory" in reservations:
        host["MemoryReservation"] = int(reservations["memory"])
    if reservations.get("devices"):
        gpus(reservations["devices"], config, host)
    policy = value.get("restart_policy") or {}
    if policy and "RestartPolicy" not in host:
        condition = policy.get("condition", "any")
        name = {"none": "no", "any": "always"}.get(condition, condition)
        host["RestartPolicy"] = {"Name": name, "MaximumRetryCount": int(policy.get("max_attempts") or 0)
                                 if name == "on-failure" else 0}


def gpus(value: list[dict[str, Any]], config: Body, host: Body) -> None:
    requests = host.setdefault("DeviceRequests", [])
    for item in value:
        requests.append({"Capabilities": [item.get("capabilities") or ["gpu"]], "Count": int(item.get("count", 0)),
                         "DeviceIDs": item.get("device_ids") or None, "Driver": item.get("driver", ""),
                         "Options": item.get("options") or {}})


def ulimits(value: dict[str, Any], config: Body, host: Body) -> None:
    host["Ulimits"] = [
        {"Name": name, "Soft": item["soft"], "Hard": item["hard"]} if isinstance(item, dict)
        else {"Name": name, "Soft": item, "Hard": item} for name, item in sorted(value.items())]


def devices(value: list[dict[str, Any]], config: Body, host: Body) -> None:
    host["Devices"] = [{"PathOnHost": item["source"], "PathInContainer": item.get("target") or item["source"],
                        "CgroupPermissions": item.get("permissions") or "rwm"} for item in value]


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
    "cpus": cpus, "deploy": deploy, "gpus": gpus, "ulimits": ulimits, "devices": devices,
    "blkio_config": blkio_config, "cpu_count": _number("CpuCount"), "cpu_percent": _number("CpuPercent"),
    "cpu_period": _number("CpuPeriod"), "cpu_quota": _number("CpuQuota"),
    "cpu_rt_period": _number("CpuRealtimePeriod"), "cpu_rt_runtime": _number("CpuRealtimeRuntime"),
    "cpu_shares": _number("CpuShares"), "cpuset": _text("CpusetCpus"), "cgroup_parent": _text("CgroupParent"),
    "device_cgroup_rules": _text("DeviceCgroupRules"), "mem_limit": _number("Memory"),
    "mem_reservation": _number("MemoryReservation"), "memswap_limit": _number("MemorySwap"),
    "mem_swappiness": _number("MemorySwappiness"), "oom_kill_disable": _text("OomKillDisable"),
    "pids_limit": _number("PidsLimit"), "shm_size": _number("ShmSize"),
}
