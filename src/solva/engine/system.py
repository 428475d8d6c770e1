"""What concerns the engine as a whole: version, info, events, registry log-in, disk usage."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solva import __version__
from solva.clock import rfc3339
from solva.errors import InvalidParameter
from solva.events.filters import check, matches

if TYPE_CHECKING:
    from solva.clock import Clock
    from solva.engine.config import Config
    from solva.events.bus import EventBus

Json = dict[str, Any]
API_VERSION = "1.51"
MIN_API_VERSION = "1.24"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le",
                 "s390x": "s390x"}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers of /info and /system/df come from."""

    container_states: Callable[[], dict[str, int]]
    container_rows: Callable[[], Awaitable[list[Json]]]
    image_rows: Callable[[], Awaitable[list[Json]]]
    layers_size: Callable[[], Awaitable[int]]
    volume_rows: Callable[[], Awaitable[list[Json]]]
    cache_rows: Callable[[], Awaitable[list[Json]]]
    log_in: Callable[[Json], Awaitable[Json]]
    network_drivers: Callable[[], list[str]]
    volume_drivers: Callable[[], list[str]]
    runtime_version: Callable[[], Awaitable[str]]
    warnings: Callable[[], list[str]]
    cgroup_version: Callable[[], str]


class System:
    """server/backend.py SystemBackend."""

    def __init__(self, config: Config, bus: EventBus, clock: Clock, engine_id: str, sources: Sources) -> None:
        self._config = config
        self._bus = bus
        self._clock = clock
        self._id = engine_id
        self._sources = sources

    def version(self) -> Json:
        """GET /version."""
        kernel = os.uname().release
        arch = architecture()
        built = rfc3339(int(Path(__file__).stat().st_mtime) * 1_000_000_000)
        details = {"ApiVersion": API_VERSION, "Arch": arch, "BuildTime": built, "Experimental": "false",
                   "GitCommit": "", "GoVersion": "", "KernelVersion": kernel, "MinAPIVersion": MIN_API_VERSION,
                   "Os": "linux", "PythonVersion": platform.python_version()}
        return {
            "Platform": {"Name": "Solva"},
            "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
            "Version": __version__, "ApiVersion": API_VERSION, "MinAPIVersion": MIN_API_VERSION, "GitCommit": "",
            "GoVersion": "", "Os": "linux", "Arch": arch, "KernelVersion": kernel, "BuildTime": built,
        }

    async def info(self) -> Json:
        """GET /info, in Docker's fields."""
        states = self._sources.container_states()
        images = await self._sources.image_rows()
        uname = os.uname()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        release = _os_release()
        return {
            "ID": self._id,
            "Containers": sum(states.values()),
            "ContainersRunning": states.get("running", 0),
            "ContainersPaused": states.get("paused", 0),
            "ContainersStopped": states.get("stopped", 0),
            "Images": len(images),
            "Driver": "overlay2",
            "DriverStatus": [["Backing Filesystem", _filesystem(self._config.data_root)], ["Using metacopy", "false"],
                             ["Native Overlay Diff", "true"], ["userxattr", "false"]],
            "Plugins": {"Volume": self._sources.volume_drivers(), "Network": self._sources.network_drivers(),
                        "Authorization": None, "Log": ["journald", "json-file", "local", "none", "syslog"]},
            "MemoryLimit": True, "SwapLimit": _exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
                                                       "/sys/fs/cgroup/memory.swap.max"),
            "CpuCfsPeriod": True, "CpuCfsQuota": True, "CPUShares": True, "CPUSet": True, "PidsLimit": True,
            "IPv4Forwarding": _flag("/proc/sys/net/ipv4/ip_forward"),
            "Debug": self._config.debug, "NFd": len(os.listdir("/proc/self/fd")),
            "OomKillDisable": self._sources.cgroup_version() == "1",
            "NGoroutines": 0, "SystemTime": rfc3339(self._clock.time_ns()), "LoggingDriver": "json-file",
            "CgroupDriver": "cgroupfs", "CgroupVersion": self._sources.cgroup_version(), "NEventsListener": 0,
            "KernelVersion": uname.release, "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
            "OSVersion": release.get("VERSION_ID", ""), "OSType": "linux", "Architecture": uname.machine,
            "IndexServerAddress": "https://index.docker.io/v1/", "RegistryConfig": self._registries(),
            "NCPU": os.cpu_count() or 1, "MemTotal": memory, "GenericResources": None,
            "DockerRootDir": str(self._config.data_root), "HttpProxy": "", "HttpsProxy": "", "NoProxy": "",
            "Name": socket.gethostname(), "Labels": [], "ExperimentalBuild": False, "ServerVersion": __version__,
            "Runtimes": {name: {"path": "crun"} for name in ("crun", "io.containerd.runc.v2", "runc")},
            "DefaultRuntime": "runc",
            "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False,
                      "Error": "", "RemoteManagers": None},
            "LiveRestoreEnabled": True, "Isolation": "", "InitBinary": "docker-init",
            "ContainerdCommit": {"ID": ""}, "RuncCommit": {"ID": await self._sources.runtime_version()},
            "InitCommit": {"ID": ""}, "SecurityOptions": ["name=seccomp,profile=builtin"],
            "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"], "FirewallBackend": {"Driver": "nftables"},
            "Warnings": self._sources.warnings() or None,
        }

    def _registries(self) -> Json:
        mirrors = list(self._config.mirrors.get("docker.io", ()))
        index = {"docker.io": {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True}}
        for name in self._config.insecure_registries:
            index[name] = {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
        return {"IndexConfigs": index, "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "Mirrors": mirrors}

    async def auth(self, body: Json) -> Json:
        """POST /auth: try the credentials at the registry."""
        return await self._sources.log_in(body)

    async def disk_usage(self, kinds: set[str]) -> Json:
        """GET /system/df; ``kinds`` empty means all."""
        result: Json = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None, "BuildCache": None}
        if not kinds or "image" in kinds:
            result["LayersSize"] = await self._sources.layers_size()
            result["Images"] = await self._sources.image_rows()
        if not kinds or "container" in kinds:
            result["Containers"] = await self._sources.container_rows()
        if not kinds or "volume" in kinds:
            result["Volumes"] = await self._sources.volume_rows()
        if not kinds or "build-cache" in kinds:
            result["BuildCache"] = await self._sources.cache_rows()
        return result

    def events(self, since: int | None, until: int | None, filters: dict[str, list[str]]) -> AsyncIterator[Json]:
        """History from ``since``, then live up to ``until`` (ns since the epoch; None: without end)."""
        check(filters)
        if since is not None and until is not None and since > until:
            raise InvalidParameter(f"`since` time ({_seconds(since)}) cannot be after `until` time "
                                   f"({_seconds(until)})")
        return self._events(since, until, filters)

    async def _events(self, since: int | None, until: int | None,
                      filters: dict[str, list[str]]) -> AsyncIterator[Json]:
        import asyncio

        subscription = self._bus.subscribe()
        try:
            for event in subscription.history if since is not None else ():
                in_time = since is not None and event.time_ns >= since and (until is None or event.time_ns <= until)
                if in_time and matches(event, filters):
                    yield event.wire()
            left = None if until is None else (until - self._clock.time_ns()) / 1e9
            if left is not None and left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    async for event in subscription:
                        if matches(event, filters):
                            yield event.wire()
            except TimeoutError:
                return
        finally:
            subscription.close()


def _seconds(moment: int) -> str:
    whole, rest = divmod(moment, 1_000_000_000)
    return f"{whole}.{rest:09}" if rest else str(whole)


def architecture() -> str:
    """This machine in OCI's terms."""
    machine = os.uname().machine
    return ARCHITECTURES.get(machine, machine)


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _exists(*paths: str) -> bool:
    return any(os.path.exists(path) for path in paths)


def _flag(path: str) -> bool:
    try:
        return Path(path).read_text().strip() == "1"
    except OSError:
        return False


def _filesystem(path: Path) -> str:
    """Type of the filesystem that holds ``path``, from the longest mount point above it."""
    best, kind = "", "unknown"
    text = str(path)
    try:
        rows = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return kind
    for row in rows:
        fields, _, tail = row.partition(" - ")
        point = fields.split()[4]
        if (text == point or text.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, tail.split()[0]
    return {"ext4": "extfs", "ext3": "extfs", "ext2": "extfs"}.get(kind, kind)
