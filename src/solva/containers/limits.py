"""Limits of a host configuration as OCI resources, rlimits and device rules; and what is wrong with them."""

from __future__ import annotations

import os
from typing import Any

from solva.api.types.container import HostConfig, Resources
from solva.errors import InvalidParameter

CPU_PERIOD = 100_000
_RLIMITS = frozenset(("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
                      "rtprio", "rttime", "sigpending", "stack"))
_ALLOWED_DEVICES = (("c", 1, 5), ("c", 1, 3), ("c", 1, 9), ("c", 1, 8), ("c", 5, 0), ("c", 5, 1), ("c", 1, 7),
                    ("c", 5, 2), ("c", 136, None))


def resources(host: Resources, version: int) -> dict[str, Any]:
    """OCI ``linux.resources`` without devices."""
    result: dict[str, Any] = {}
    memory = _memory(host)
    if memory:
        result["memory"] = memory
    cpu = _cpu(host)
    if cpu:
        result["cpu"] = cpu
    if host.pids_limit is not None and host.pids_limit > 0:
        result["pids"] = {"limit": host.pids_limit}
    block = _block(host)
    if block:
        result["blockIO"] = block
    return result


def _memory(host: Resources) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    if host.memory > 0:
        memory["limit"] = host.memory
    if host.memory_reservation > 0:
        memory["reservation"] = host.memory_reservation
    if host.memory_swap != 0:
        memory["swap"] = host.memory_swap
    if host.memory_swappiness is not None and host.memory_swappiness >= 0:
        memory["swappiness"] = host.memory_swappiness
    if host.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(host: Resources) -> dict[str, Any]:
    cpu: dict[str, Any] = {}
    if host.cpu_shares > 0:
        cpu["shares"] = host.cpu_shares
    if host.nano_cpus > 0:
        cpu["period"] = CPU_PERIOD
        cpu["quota"] = host.nano_cpus * CPU_PERIOD // 1_000_000_000
    if host.cpu_period:
        cpu["period"] = host.cpu_period
    if host.cpu_quota:
        cpu["quota"] = host.cpu_quota
    if host.cpuset_cpus:
        cpu["cpus"] = host.cpuset_cpus
    if host.cpuset_mems:
        cpu["mems"] = host.cpuset_mems
    if host.cpu_realtime_period:
        cpu["realtimePeriod"] = host.cpu_realtime_period
    if host.cpu_realtime_runtime:
        cpu["realtimeRuntime"] = host.cpu_realtime_runtime
    return cpu


def _block(host: Resources) -> dict[str, Any]:
    block: dict[str, Any] = {}
    if host.blkio_weight:
        block["weight"] = host.blkio_weight
    if host.blkio_weight_device:
        block["weightDevice"] = [{**_numbers(item.path), "weight": item.weight} for item in host.blkio_weight_device]
    for name, rows in (
        ("throttleReadBpsDevice", host.blkio_device_read_bps), ("throttleWriteBpsDevice", host.blkio_device_write_bps),
        ("throttleReadIOPSDevice", host.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", host.blkio_device_write_iops),
    ):
        if rows:
            block[name] = [{**_numbers(row.path), "rate": row.rate} for row in rows]
    return block


def _numbers(path: str) -> dict[str, int]:
    try:
        device = os.stat(path).st_rdev
    except OSError as error:
        raise InvalidParameter(f"no such device: {path}: {error.strerror}") from None
    return {"major": os.major(device), "minor": os.minor(device)}


def rlimits(host: Resources) -> list[dict[str, Any]]:
    """OCI ``process.rlimits``; -1 is "unlimited"."""
    return [
        {"type": f"RLIMIT_{item.name.upper()}", "hard": item.hard % 2**64, "soft": item.soft % 2**64}
        for item in host.ulimits
    ]


def device_rules(host: HostConfig) -> list[dict[str, Any]]:
    """Who may touch which device: all is denied but Docker's list, ``--device`` and ``--device-cgroup-rule``."""
    if host.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind in ("c", "b"):
        rules.append({"allow": True, "type": kind, "access": "m"})
    for kind, major, minor in _ALLOWED_DEVICES:
        rule: dict[str, Any] = {"allow": True, "type": kind, "major": major, "access": "rwm"}
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    for mapping in host.devices:
        rules += _mapping_rules(mapping.path_on_host, mapping.cgroup_permissions or "rwm")
    return rules + [_custom_rule(text) for text in host.device_cgroup_rules]


def _mapping_rules(path: str, access: str) -> list[dict[str, Any]]:
    paths = [path]
    if os.path.isdir(path):
        paths = [os.path.join(directory, name) for directory, _, names in os.walk(path) for name in names]
    rules = []
    for item in paths:
        try:
            info = os.stat(item)
        except OSError:
            continue
        kind = {0o020000: "c", 0o060000: "b"}.get(info.st_mode & 0o170000)
        if kind is not None:
            rules.append({"allow": True, "type": kind, "major": os.major(info.st_rdev),
                          "minor": os.minor(info.st_rdev), "access": access})
    return rules


def _custom_rule(text: str) -> dict[str, Any]:
    parts = text.split()
    numbers = parts[1].split(":") if len(parts) == 3 else []
    if len(parts) != 3 or len(numbers) != 2 or parts[0] not in ("a", "b", "c") or set(parts[2]) - set("rwm"):
        raise InvalidParameter(f"invalid device cgroup rule format: '{text}'")
    rule: dict[str, Any] = {"allow": True, "type": parts[0], "access": parts[2]}
    for name, number in zip(("major", "minor"), numbers, strict=True):
        if number != "*":
            if not number.isdigit():
                raise InvalidParameter(f"invalid device cgroup rule format: '{text}'")
            rule[name] = int(number)
    return rule


def check(host: Resources, *, swap_accounting: bool, cpus: int, block_weight: bool = True) -> list[str]:
    """InvalidParameter in Docker's words for nonsense; warnings for what has no effect. Fills in Docker's default for
    swap (twice the memory) on the way."""
    warnings: list[str] = []
    _check_memory(host, warnings, swap_accounting)
    if host.nano_cpus:
        if host.cpu_period or host.cpu_quota:
            raise InvalidParameter("Conflicting options: Nano CPUs and CPU "
                                   + ("Period" if host.cpu_period else "Quota") + " cannot both be set")
        if host.nano_cpus < 0 or host.nano_cpus > cpus * 1_000_000_000:
            raise InvalidParameter(
                f"range of CPUs is from 0.01 to {cpus:.2f}, as there are only {cpus} CPUs available"
            )
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidParameter("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < 1000:
        raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    _check_sets(host)
    if host.blkio_weight and not block_weight:
        warnings.append("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
        host.blkio_weight = 0
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise InvalidParameter("Range of blkio weight is from 10 to 1000")
    for item in host.ulimits:
        if item.name not in _RLIMITS:
            raise InvalidParameter(f"invalid ulimit type: {item.name}")
        if item.hard != -1 and (item.soft > item.hard or item.soft == -1):
            raise InvalidParameter(
                f"ulimit soft limit must be less than or equal to hard limit: {item.soft} > {item.hard}"
            )
    if host.pids_limit is not None and host.pids_limit <= 0:
        host.pids_limit = None
    if host.kernel_memory or host.kernel_memory_tcp:
        warnings.append("Specifying a kernel memory limit is deprecated and will be removed in a future release.")
    if host.cpu_count or host.cpu_percent or host.io_maximum_iops or host.io_maximum_bandwidth:
        warnings.append(
            "CpuCount, CpuPercent, IOMaximumIOps and IOMaximumBandwidth are for Windows and have no effect."
        )
    return warnings


def _check_sets(host: Resources) -> None:
    """cpuset: numbers and spans of them that this machine has."""
    for words, plural, text, file in (("cpuset cpus", "CPUs", host.cpuset_cpus, "/sys/devices/system/cpu/online"),
                                      ("cpuset mems", "memory nodes", host.cpuset_mems,
                                       "/sys/devices/system/node/online")):
        if not text:
            continue
        try:
            wanted = _numbers_of(text)
        except ValueError:
            raise InvalidParameter(f"Invalid value {text} for {words}: invalid format: {text}") from None
        try:
            with open(file) as source:
                online = source.read().strip()
        except OSError:
            continue
        if not wanted <= _numbers_of(online):
            raise InvalidParameter(f"Requested {plural} are not available - requested {text}, available: {online}")


def _numbers_of(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        found |= set(range(int(first), int(last if dash else first) + 1))
    return found


def _check_memory(host: Resources, warnings: list[str], swap_accounting: bool) -> None:
    if host.memory and host.memory < 6 << 20:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")
    if host.memory_reservation and host.memory and host.memory < host.memory_reservation:
        raise InvalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage")
    if host.memory_swap > 0:
        if not host.memory:
            raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
        if host.memory_swap < host.memory:
            raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.memory_swappiness is not None and not -1 <= host.memory_swappiness <= 100:
        raise InvalidParameter(
            f"Invalid value: {host.memory_swappiness}, valid memory swappiness range is 0-100"
        )
    if host.memory and not host.memory_swap and swap_accounting:
        host.memory_swap = host.memory * 2
    if host.memory and host.memory_swap and not swap_accounting:
        warnings.append("Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
                        "Memory limited without swap.")
        host.memory_swap = 0
    if host.oom_kill_disable and not host.memory:
        warnings.append("OOM killer is disabled for the container, but no memory limit is set, this can result in "
                        "the system running out of resources.")
