"""stats and top: figures from the control groups, processes from ps."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from solva.clock import ZERO_TIME, rfc3339
from solva.containers.core import Core
from solva.containers.model import Container
from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import cgroup


async def stats(core: Core, container: Container, *, stream: bool, one_shot: bool) -> AsyncIterator[dict[str, Any]]:
    """One sample a second until the container goes."""
    before: dict[str, Any] | None = None
    while True:
        sample = _sample(core, container)
        if before is None and not one_shot and container.state.alive:
            before = sample
            await asyncio.sleep(1 if not stream else 0.1)
            sample = _sample(core, container)
        if before is not None:
            sample["preread"], sample["precpu_stats"] = before["read"], before["cpu_stats"]
        yield sample
        if not stream or core.registry.maybe(container.id) is None:
            return
        before = sample
        await asyncio.sleep(1)


def _sample(core: Core, container: Container) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": f"/{container.name}", "id": container.id, "read": ZERO_TIME, "preread": ZERO_TIME,
        "num_procs": 0, "storage_stats": {}, "pids_stats": {}, "blkio_stats": {}, "cpu_stats": _cpu(0, 0, 0),
        "precpu_stats": _cpu(0, 0, 0), "memory_stats": {},
    }
    if not container.state.alive:
        return base
    base["read"] = rfc3339(core.clock.time_ns())
    path = core.runtime.cgroup_path(container.id, container.host_config.cgroup_parent)
    layout = core.runtime.layout
    if layout.version == 2:
        figures = _version2(cgroup.ROOT / path.strip("/"))
    else:
        figures = _version1(layout, path)
    networks = _interfaces(container.state.pid)
    return {**base, **figures, **({"networks": networks} if networks else {})}


def _cpu(total: int, user: int, system: int, periods: dict[str, int] | None = None,
         each: list[int] | None = None) -> dict[str, Any]:
    throttled = periods or {}
    return {
        "cpu_usage": {"total_usage": total, **({"percpu_usage": each} if each else {}),
                      "usage_in_kernelmode": system, "usage_in_usermode": user},
        "system_cpu_usage": _machine_cpu() if total else 0, "online_cpus": os.cpu_count() or 1,
        "throttling_data": {"periods": throttled.get("nr_periods", 0),
                            "throttled_periods": throttled.get("nr_throttled", 0),
                            "throttled_time": throttled.get("throttled_time",
                                                            throttled.get("throttled_usec", 0) * 1000)},
    }


_NO_BLOCK: dict[str, list[dict[str, Any]] | None] = {
    f"{name}_recursive": [] for name in ("io_service_bytes", "io_serviced", "io_queue", "io_service_time",
                                         "io_wait_time", "io_merged", "io_time", "sectors")}


def _machine_cpu() -> int:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    return sum(int(field) for field in fields) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _version1(layout: cgroup.Layout, path: str) -> dict[str, Any]:
    def place(controller: str) -> Path:
        return cgroup.ROOT / layout.controllers.get(controller, "missing") / path.strip("/")

    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    split = cgroup.read_table(place("cpuacct") / "cpuacct.stat")
    try:
        each = [int(word) for word in (place("cpuacct") / "cpuacct.usage_percpu").read_text().split()]
    except OSError:
        each = []
    memory = place("memory")
    limit = min(cgroup.read_int(memory / "memory.limit_in_bytes", 1 << 63), _machine_memory())
    return {
        "cpu_stats": _cpu(cgroup.read_int(place("cpuacct") / "cpuacct.usage"), split.get("user", 0) * tick,
                          split.get("system", 0) * tick, cgroup.read_table(place("cpu") / "cpu.stat"), each),
        "memory_stats": {"usage": cgroup.read_int(memory / "memory.usage_in_bytes"),
                         "max_usage": cgroup.read_int(memory / "memory.max_usage_in_bytes"),
                         "failcnt": cgroup.read_int(memory / "memory.failcnt"), "limit": limit,
                         "stats": cgroup.read_table(memory / "memory.stat")},
        "pids_stats": _pids(place("pids")),
        "blkio_stats": {**_NO_BLOCK, **{f"{name}_recursive": _blkio1(place("blkio") / f"blkio.throttle.{name}")
                                       for name in ("io_service_bytes", "io_serviced")}},
    }


def _version2(base: Path) -> dict[str, Any]:
    cpu = cgroup.read_table(base / "cpu.stat")
    limit = min(cgroup.read_int(base / "memory.max", 1 << 63), _machine_memory())
    return {
        "cpu_stats": _cpu(cpu.get("usage_usec", 0) * 1000, cpu.get("user_usec", 0) * 1000,
                          cpu.get("system_usec", 0) * 1000, cpu),
        "memory_stats": {"usage": cgroup.read_int(base / "memory.current"), "limit": limit,
                         "stats": cgroup.read_table(base / "memory.stat")},
        "pids_stats": _pids(base),
        "blkio_stats": {**dict.fromkeys(_NO_BLOCK), "io_service_bytes_recursive": _io2(base / "io.stat")},
    }


def _pids(base: Path) -> dict[str, int]:
    found = {"current": cgroup.read_int(base / "pids.current")}
    limit = cgroup.read_int(base / "pids.max", -1)
    return found if limit < 0 else {**found, "limit": limit}


def _blkio1(path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        parts = line.split()
        if len(parts) == 3:
            major, _, minor = parts[0].partition(":")
            rows.append({"major": int(major), "minor": int(minor), "op": parts[1].lower(), "value": int(parts[2])})
    return rows


def _io2(path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        device, *fields = line.split()
        major, _, minor = device.partition(":")
        for item in fields:
            name, _, value = item.partition("=")
            if name in ("rbytes", "wbytes"):
                rows.append({"major": int(major), "minor": int(minor), "op": "read" if name[0] == "r" else "write",
                             "value": int(value)})
    return rows


def _interfaces(pid: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return result
    for line in lines:
        name, _, rest = line.partition(":")
        values = [int(value) for value in rest.split()]
        if name.strip() != "lo":
            result[name.strip()] = dict(zip(
                ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors",
                 "tx_dropped"), [*values[:4], *values[8:12]], strict=True))
    return result


async def top(core: Core, container: Container, arguments: str) -> dict[str, Any]:
    """``ps`` of the host, only the container's rows."""
    core.must_run(container)
    words = arguments.split() or ["-ef"]
    if any(word.startswith("-") and not word[1:].replace("=", "").replace(",", "").isalnum() for word in words):
        raise InvalidParameter(f"invalid ps_args: {arguments}")
    program = shutil.which("ps")
    if program is None:
        raise SystemFailure("top needs ps on the host: apt-get install procps")
    pids = core.runtime.processes(core.runtime.cgroup_path(container.id, container.host_config.cgroup_parent))
    done = await core.runtime.spawner.run([program, *words])
    if b"crun" in done.stdout:      # a program that has been started this moment still looks like its runtime
        done = await core.runtime.spawner.run([program, *words])
    if done.rc != 0:
        raise InvalidParameter(f"ps: {done.stderr.decode(errors='replace').strip()}")
    lines = done.stdout.decode(errors="replace").splitlines()
    titles = lines[0].split()
    if "PID" not in titles:
        raise InvalidParameter("Couldn't find PID field in ps output")
    column = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    rows = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > column and fields[column] in wanted:
            rows.append(fields)
    return {"Titles": titles, "Processes": rows}
