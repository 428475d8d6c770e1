"""inspect, list: containers as the API shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from solva.clock import ZERO_TIME, rfc3339
from solva.containers import networking
from solva.containers.core import Core
from solva.containers.model import Container, MountPoint, State
from solva.containers.remove import _has
from solva.containers.spec import DEFAULT_SHM, MASKED_PATHS, READONLY_PATHS
from solva.containers.state import describe
from solva.errors import InvalidParameter, NotFound, SolvaError
from solva.networks.model import Sandbox

_STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_FILTERS = frozenset(("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label",
                      "name", "network", "publish", "since", "status", "volume"))
_NULL_WHEN_EMPTY = ("Binds", "VolumesFrom", "CapAdd", "CapDrop", "ExtraHosts", "GroupAdd", "Links", "SecurityOpt",
                    "DeviceCgroupRules", "DeviceRequests")
_ABSENT_WHEN_EMPTY = ("Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Mounts", "Init", "KernelMemory",
                      "KernelMemoryTCP")


def sandbox_of(core: Core, container: Container) -> Sandbox | None:
    """The live network sandbox, also of the container whose network this one shares."""
    if not container.state.alive:
        return None
    return core.networks.sandbox(container.id)


async def inspect(core: Core, ref: str, size: bool) -> dict[str, Any]:
    """GET /containers/{id}/json."""
    container = core.registry.get(ref)
    sandbox = sandbox_of(core, container)
    rootfs = core.snapshots.rootfs(container.id)
    base = rootfs.parent
    logged = container.host_config.log_config.type != "none" and container.state.started_ns
    logs = str(core.paths.log(container.id)) if logged else ""
    value: dict[str, Any] = {
        "Id": container.id, "Created": rfc3339(container.created_ns), "Path": container.path, "Args": container.args,
        "State": state_view(container.state), "Image": container.image_id,
        "ResolvConfPath": sandbox.resolv_conf_path if sandbox else "",
        "HostnamePath": sandbox.hostname_path if sandbox else "", "HostsPath": sandbox.hosts_path if sandbox else "",
        "LogPath": logs, "Name": f"/{container.name}", "RestartCount": container.state.restart_count,
        "Driver": "overlay2", "Platform": "linux", "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "",
        "ExecIDs": None, "HostConfig": host_view(container), "GraphDriver": {
            "Data": {"ID": container.id, "MergedDir": str(rootfs), "UpperDir": str(base / "fs"),
                     "WorkDir": str(base / "work")}, "Name": "overlay2"},
        "Mounts": [mount_view(point) for point in container.mounts if point.type != "tmpfs" or point.spec is not None],
        "Config": config_view(container), "NetworkSettings": networking.settings(container, sandbox),
    }
    if size:
        value["SizeRw"], value["SizeRootFs"] = await _sizes(core, container)
    return value


async def _sizes(core: Core, container: Container) -> tuple[int, int]:
    try:
        written = await core.snapshots.usage(container.id)
    except SolvaError:
        written = 0
    try:
        below = core.images.resolve(container.image_id).size
    except SolvaError:
        below = 0
    return written, written + below


def state_view(state: State) -> dict[str, Any]:
    view: dict[str, Any] = {
        "Status": state.status, "Running": state.running, "Paused": state.status == "paused",
        "Restarting": state.status == "restarting", "OOMKilled": state.oom_killed, "Dead": state.status == "dead",
        "Pid": state.pid, "ExitCode": state.exit_code, "Error": state.error,
        "StartedAt": rfc3339(state.started_ns) if state.started_ns else ZERO_TIME,
        "FinishedAt": rfc3339(state.finished_ns) if state.finished_ns else ZERO_TIME,
    }
    if state.health is not None:
        view["Health"] = {
            "Status": state.health.status, "FailingStreak": state.health.failing_streak,
            "Log": [{"Start": rfc3339(item.start_ns), "End": rfc3339(item.end_ns), "ExitCode": item.exit_code,
                     "Output": item.output} for item in state.health.log],
        }
    return view


def host_view(container: Container) -> dict[str, Any]:
    host = container.host_config
    view: dict[str, Any] = msgspec.to_builtins(host)
    for key in _NULL_WHEN_EMPTY:
        if not view[key]:
            view[key] = None
    for key in _ABSENT_WHEN_EMPTY:
        if not view[key] and view[key] is not False:
            del view[key]
    view["LogConfig"]["Type"] = view["LogConfig"]["Type"] or "json-file"
    view["RestartPolicy"]["Name"] = view["RestartPolicy"]["Name"] or "no"
    view["CgroupnsMode"] = view["CgroupnsMode"] or "host"
    view["IpcMode"] = view["IpcMode"] or "private"
    view["ShmSize"] = view["ShmSize"] or DEFAULT_SHM
    view["Runtime"] = view["Runtime"] or "runc"
    if view["MaskedPaths"] is None:
        view["MaskedPaths"] = None if host.privileged else list(MASKED_PATHS)
    if view["ReadonlyPaths"] is None:
        view["ReadonlyPaths"] = None if host.privileged else list(READONLY_PATHS)
    return view


def config_view(container: Container) -> dict[str, Any]:
    view: dict[str, Any] = msgspec.to_builtins(container.config)
    for key in ("NetworkDisabled", "MacAddress", "ArgsEscaped", "StopSignal", "StopTimeout", "Shell", "Healthcheck",
                "ExposedPorts"):
        if not view[key]:
            del view[key]
    if not view["Volumes"]:
        view["Volumes"] = None
    main = container.endpoints.get(container.host_config.network_mode)
    if main is not None and main.mac_address:
        view["MacAddress"] = main.mac_address
    return view


def mount_view(point: MountPoint) -> dict[str, Any]:
    view: dict[str, Any] = {"Type": point.type}
    if point.name:
        view["Name"] = point.name
    view |= {"Source": point.source, "Destination": point.destination}
    if point.driver:
        view["Driver"] = point.driver
    return view | {"Mode": point.mode, "RW": point.rw, "Propagation": point.propagation}


async def list_all(core: Core, *, all: bool, limit: int, size: bool,
                   filters: dict[str, list[str]]) -> list[dict[str, Any]]:
    """GET /containers/json, newest first."""
    for key in filters:
        if key not in _FILTERS:
            raise InvalidParameter(f"invalid filter '{key}'")
    for status in filters.get("status", []):
        if status not in _STATES:
            raise InvalidParameter(f"invalid filter 'status={status}': invalid value for state ({status}): "
                                   f"must be one of {', '.join(_STATES)}")
    for status in filters.get("health", []):
        if status not in ("starting", "healthy", "unhealthy", "none"):
            raise InvalidParameter(f"invalid filter 'health={status}': invalid value for health ({status}): "
                                   "must be one of none, starting, healthy, unhealthy")
    for code in filters.get("exited", []):
        if not code.lstrip("-").isdigit():
            raise InvalidParameter(f"invalid filter 'exited={code}': strconv.Atoi: parsing \"{code}\": invalid syntax")
    for key in ("publish", "expose"):
        for port in filters.get(key, []):
            try:
                networking.expand_port(port)
            except InvalidParameter:
                raise InvalidParameter(f"error while looking up for {key} {port}: strconv.ParseUint: parsing "
                                       f'"{port}": invalid syntax') from None
    for value in filters.get("is-task", []):
        if value not in ("true", "1", "false", "0"):
            raise InvalidParameter(f"invalid filter 'is-task=[{value}]'")
    everything = all or limit > 0 or any(key in filters for key in ("status", "exited", "before", "since"))
    ordered = sorted(core.registry.all(), key=lambda item: -item.created_ns)
    ordered = _around(core, ordered, filters)
    now = core.clock.time_ns()
    result = []
    for container in ordered:
        if not everything and not container.state.running:
            continue
        if not _passes(core, container, filters):
            continue
        result.append(await _row(core, container, now, size))
        if limit > 0 and len(result) >= limit:
            break
    return result


def _around(core: Core, ordered: list[Container], filters: dict[str, list[str]]) -> list[Container]:
    for ref in filters.get("before", []):
        moment = core.registry.get(ref).created_ns
        ordered = [item for item in ordered if item.created_ns < moment]
    for ref in filters.get("since", []):
        moment = core.registry.get(ref).created_ns
        ordered = [item for item in ordered if item.created_ns > moment]
    return ordered


async def _row(core: Core, container: Container, now: int, size: bool) -> dict[str, Any]:
    sandbox = sandbox_of(core, container)
    words = [container.path, *container.args]
    settings = networking.settings(container, sandbox)
    annotations = container.host_config.annotations
    row: dict[str, Any] = {
        "Id": container.id, "Names": [f"/{container.name}"], "Image": container.config.image,
        "ImageID": container.image_id, "Command": " ".join(_quoted(word) for word in words),
        "Created": container.created_ns // 1_000_000_000, "Ports": _ports(settings["Ports"]),
        "Labels": container.config.labels, "State": container.state.status,
        "Status": describe(container.state, now),
        "HostConfig": {"NetworkMode": container.host_config.network_mode,
                       **({"Annotations": annotations} if annotations else {})},
        "NetworkSettings": {"Networks": settings["Networks"]},
        "Mounts": [mount_view(point) for point in container.mounts if point.type != "tmpfs" or point.spec is not None],
    }
    if size:
        row |= {key: value for key, value in zip(("SizeRw", "SizeRootFs"), await _sizes(core, container), strict=True)
                if value}
    return row


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


def _ports(ports: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key, bindings in ports.items():
        number, _, proto = key.partition("/")
        if not bindings:
            rows.append({"PrivatePort": int(number), "Type": proto})
        for binding in bindings or ():
            rows.append({"IP": binding["HostIp"], "PrivatePort": int(number), "PublicPort": int(binding["HostPort"]),
                         "Type": proto})
    return rows


def _passes(core: Core, container: Container, filters: dict[str, list[str]]) -> bool:
    """Values of a key are alternatives, but labels must all hold."""
    state = container.state
    for key, values in filters.items():
        if not values or key in ("before", "since", "isolation"):
            continue
        if key == "label":
            good = all(_has(container.config.labels, value) for value in values)
        elif key == "name":
            good = any(_name_matches(container.name, value) for value in values)
        elif key == "id":
            good = any(container.id.startswith(value) for value in values)
        elif key == "status":
            good = state.status in values
        elif key == "exited":
            good = state.status == "exited" and str(state.exit_code) in values
        elif key == "health":
            good = (state.health.status if state.health is not None and state.alive else "none") in values
        elif key == "ancestor":
            good = any(_is_ancestor(core, container, value) for value in values)
        elif key == "network":
            good = any(_on_network(core, container, value) for value in values)
        elif key == "volume":
            good = any(value in (point.name, point.destination, point.source) for value in values
                       for point in container.mounts)
        elif key == "publish":
            good = any(_port_in(value, [name for name, rows in container.host_config.port_bindings.items() if rows])
                       for value in values)
        elif key == "expose":
            good = any(_port_in(value, list(container.config.exposed_ports)) for value in values)
        else:      # is-task: there are none
            good = any(value in ("false", "0") for value in values)
        if not good:
            return False
    return True


def _name_matches(name: str, pattern: str) -> bool:
    import re

    bare = pattern.removeprefix("/")
    try:
        return (re.search(pattern, f"/{name}") or re.search(bare, name)) is not None
    except re.error:
        return bare in name


def _is_ancestor(core: Core, container: Container, reference: str) -> bool:
    if reference in (container.config.image, container.image_id):
        return True
    try:
        image = core.images.resolve(reference)
    except SolvaError:
        return False
    if image.id == container.image_id:
        return True
    chain = tuple(image.chain)
    return bool(chain) and container.chain[:len(chain)] == chain


def _on_network(core: Core, container: Container, reference: str) -> bool:
    if reference in container.endpoints:
        return True
    try:
        return core.networks.get(reference).name in container.endpoints
    except NotFound:
        return False


def _port_in(value: str, keys: list[str]) -> bool:
    wanted = {f"{port}/{proto}" for port, proto in networking.expand_port(value)}
    have = {f"{port}/{proto}" for key in keys for port, proto in networking.expand_port(key)}
    return bool(wanted & have)
