"""create: reserve the name, image, snapshot, volumes, record, event; whatever fails takes all of it back."""

from __future__ import annotations

import os
import random
import re
import shutil
from contextlib import AsyncExitStack
from typing import Any

from solva import faults
from solva.api.types.container import ContainerConfig, ContainerCreate, EndpointSettings, Healthcheck, HostConfig
from solva.containers import leftovers, limits, mounts, networking, restart_policy, spec
from solva.containers.core import Core
from solva.containers.model import Container
from solva.containers.names import ADJECTIVES, NOUNS
from solva.containers.signals import number
from solva.errors import InvalidParameter, NotFound, NotImplementedHere
from solva.ids import check_container_name, new_id, short
from solva.kernel import cgroup
from solva.logs import options as log_options
from solva.runtimes import capabilities

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_ARCHITECTURES = ("amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le", "loong64")


async def create(core: Core, name: str, body: ContainerCreate, platform: str = "") -> tuple[str, list[str]]:
    """(id, warnings)."""
    image = core.images.resolve(body.image) if body.image else None
    if image is None:
        raise InvalidParameter("config cannot be empty in order to create a container")
    if platform and not _fits(image.config, platform):
        found = f"{image.config.get('os', 'linux')}/{image.config.get('architecture', '')}"
        raise NotFound(f"image with reference {body.image} was found but its platform ({found}) does not match the "
                       f"specified platform ({platform})")
    host = body.host_config
    networking.check_joined(body)
    config = merged(body, image.config.get("config") or {})
    warnings = check(core, config, host, body)
    path, args = command(config)
    container_id = new_id()
    bare = check_container_name(name) if name else _pick_name(core)
    async with AsyncExitStack() as undo:
        core.registry.reserve(bare, container_id)
        undo.callback(core.registry.release, bare)
        config.hostname = config.hostname or _hostname(core, host, container_id)
        container = Container(
            id=container_id, name=bare, created_ns=core.clock.time_ns(), image_id=image.id, chain=tuple(image.chain),
            path=path, args=args, config=config, host_config=host,
        )
        container.endpoints = networking.wanted(core, container, body.networking_config.endpoints_config)
        warnings += networking.port_warnings(core, container)
        container.mounts = mounts.collect(core, config, host)
        begun = leftovers.Begun(container_id, tuple(
            point.name for point in container.mounts if point.type == "volume" and point.anonymous))
        core.store.put(leftovers.KIND, container_id, begun)
        undo.callback(core.store.delete, leftovers.KIND, container_id)
        faults.point("create: begun")
        await core.snapshots.prepare(container_id, container.chain)
        undo.push_async_callback(core.snapshots.remove, container_id)
        faults.point("create: snapshot")
        for name in begun.volumes:
            undo.push_async_callback(core.volumes.remove, name, force=True)
        await mounts.reserve(core, container)
        faults.point("create: volumes")
        await mounts.populate(core, container)
        directory = core.paths.data(container_id)
        directory.mkdir(parents=True, mode=0o700)
        undo.callback(shutil.rmtree, directory, True)
        faults.point("create: files")
        with core.store.transaction():
            core.store.delete(leftovers.KIND, container_id)
            core.registry.add(container)
        faults.point("create: recorded")
        undo.pop_all()
    core.event(container, "create")
    warnings += await core.networks.obstacles(list(container.endpoints), networking.port_mappings(container))
    return container_id, warnings


def merged(body: ContainerCreate, image: dict[str, Any]) -> ContainerConfig:
    """The request's configuration with what the image says where the request says nothing."""
    config = ContainerConfig(**{name: getattr(body, name) for name in ContainerConfig.__struct_fields__})
    config.entrypoint = _words(config.entrypoint)
    config.cmd = _words(config.cmd)
    if config.entrypoint is None:
        config.entrypoint = image.get("Entrypoint")
        if config.cmd is None or config.cmd == []:
            config.cmd = image.get("Cmd")
    elif config.entrypoint == [""]:
        config.entrypoint = None
    given = {entry.partition("=")[0] for entry in config.env}
    config.env = [*config.env, *(entry for entry in image.get("Env") or [] if entry.partition("=")[0] not in given)]
    config.labels = {**(image.get("Labels") or {}), **config.labels}
    config.exposed_ports = {**(image.get("ExposedPorts") or {}), **config.exposed_ports}
    config.volumes = {**(image.get("Volumes") or {}), **config.volumes}
    for field, key in (("user", "User"), ("working_dir", "WorkingDir"), ("stop_signal", "StopSignal")):
        if not getattr(config, field):
            setattr(config, field, image.get(key) or "")
    if config.stop_timeout is None:
        config.stop_timeout = image.get("StopTimeout")
    config.shell = config.shell or image.get("Shell")
    config.healthcheck = _health(config.healthcheck, image.get("Healthcheck"))
    for port in body.host_config.port_bindings:
        config.exposed_ports.setdefault(port if "/" in port else f"{port}/tcp", {})
    return config


def _words(value: list[str] | str | None) -> list[str] | None:
    return [value] if isinstance(value, str) else value


def _health(wanted: Healthcheck | None, image: dict[str, Any] | None) -> Healthcheck | None:
    if not image:
        return wanted
    base = Healthcheck(list(image.get("Test") or []), image.get("Interval") or 0, image.get("Timeout") or 0,
                       image.get("StartPeriod") or 0, image.get("StartInterval") or 0, image.get("Retries") or 0)
    if wanted is None:
        return base
    for field in Healthcheck.__struct_fields__:
        if not getattr(wanted, field):
            setattr(wanted, field, getattr(base, field))
    return wanted


def command(config: ContainerConfig) -> tuple[str, list[str]]:
    """The program and its arguments."""
    words = [*(config.entrypoint or []), *(config.cmd or [])]
    if not words:
        raise InvalidParameter("no command specified")
    return words[0], list(words[1:])


def check(core: Core, config: ContainerConfig, host: HostConfig, body: ContainerCreate) -> list[str]:
    """Refuse nonsense and what is not done here; warn about what has no effect."""
    layout = core.runtime.layout
    warnings = limits.check(host, swap_accounting=_swap_accounting(layout), cpus=os.cpu_count() or 1,
                            block_weight=_block_weight(layout))
    if host.network_mode == "host" and any(host.port_bindings.values()):
        warnings.append("Published ports are discarded when using host network mode")
    spec.security_options(host.security_opt)
    capabilities.resolve(host.cap_add, host.cap_drop, privileged=host.privileged)
    limits.device_rules(host)
    _check_values(config, host)
    if config.stop_signal:
        number(config.stop_signal)
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidParameter(f"the working directory '{config.working_dir}' is invalid, it needs to be an "
                               "absolute path")
    restart_policy.check(host.restart_policy, auto_remove=host.auto_remove)
    _check_modes(core, config, host)
    log_options.check(host.log_config.type, host.log_config.config)
    if host.device_requests:
        wanted = " ".join(f"[{' '.join(group)}]" for group in host.device_requests[0].capabilities)
        raise NotImplementedHere(f'could not select device driver "" with capabilities: [{wanted}]')
    if host.isolation not in ("", "default"):
        raise InvalidParameter(f"invalid isolation ({host.isolation}): linux only supports 'default'")
    if host.storage_opt:
        raise InvalidParameter("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    if host.runtime not in ("", "crun", "runc", "io.containerd.runc.v2"):
        raise InvalidParameter(f"unknown or invalid runtime name: {host.runtime}")
    if host.cgroup:
        warnings.append("HostConfig.Cgroup has no effect.")
    return warnings


def _check_modes(core: Core, config: ContainerConfig, host: HostConfig) -> None:
    if host.userns_mode not in ("", "host"):
        raise InvalidParameter(f"invalid user namespace mode: {host.userns_mode}: this engine maps no users")
    if host.uts_mode not in ("", "host"):
        raise InvalidParameter(f"invalid UTS mode: {host.uts_mode}")
    if host.cgroupns_mode not in ("", "host", "private"):
        raise InvalidParameter(f"invalid cgroup namespace mode: {host.cgroupns_mode}")
    for label, mode, fixed in (("IPC", host.ipc_mode, ("", "none", "private", "shareable", "host")),
                               ("PID", host.pid_mode, ("", "host"))):
        kind, _, target = mode.partition(":")
        if mode in fixed:
            continue
        if kind != "container" or not target:
            raise InvalidParameter(f"invalid {label} mode: {mode}")
        try:
            core.registry.get(target)
        except NotFound as error:
            # not 404: clients take that for a missing image, and pull it
            raise InvalidParameter(f"joining {label} namespace of container: {error}") from None
    if host.uts_mode == "host" and config.hostname:
        raise InvalidParameter("conflicting options: hostname and the UTS mode")
    if host.init:
        spec_init()


def spec_init() -> str:
    """The init program to mount; InvalidParameter names the package where none is installed."""
    import shutil

    for name in ("docker-init", "tini-static", "tini", "catatonit"):
        found = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/libexec:/usr/libexec/podman:/usr/sbin")
        if found:
            return found
    raise InvalidParameter("--init needs an init program and none is installed: apt-get install tini (or catatonit)")


def _check_values(config: ContainerConfig, host: HostConfig) -> None:
    """What is nonsense whatever the machine."""
    for entry in config.env:
        if entry.startswith("=") or not entry:
            raise InvalidParameter(f"invalid environment variable: {entry}")
    if config.healthcheck is not None:
        for name in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
            value = getattr(config.healthcheck, {"Interval": "interval", "Timeout": "timeout", "StartPeriod":
                                                 "start_period", "StartInterval": "start_interval"}[name])
            if value and value < 1_000_000:
                raise InvalidParameter(f"{name} in Healthcheck cannot be less than 1ms")
        if config.healthcheck.retries < 0:
            raise InvalidParameter("Retries in Healthcheck cannot be negative")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    for entry in host.extra_hosts:
        name, colon, address = entry.partition(":")
        if not name or not colon or not address:
            raise InvalidParameter(f'bad format for add-host: "{entry}"')


def _fits(config: dict[str, Any], platform: str) -> bool:
    """Whether an image is for ``platform`` (os/architecture[/variant]). InvalidParameter for what is none."""
    parts = platform.split("/")
    if len(parts) > 3 or not all(re.fullmatch(r"[A-Za-z0-9_.-]+", part) for part in parts):
        raise InvalidParameter(f'"{platform}": cannot parse platform specifier: invalid argument')
    if len(parts) == 1:
        parts = ["linux", parts[0]] if parts[0] in _ARCHITECTURES or parts[0] in _ALIASES else [
            parts[0], config.get("architecture", "")]
        if parts[0] not in ("linux", "windows", "darwin", "freebsd"):
            raise InvalidParameter(f'"{platform}": unknown operating system or architecture: invalid argument')
    os_name, architecture = parts[0], _ALIASES.get(parts[1], parts[1])
    return os_name == config.get("os", "linux") and architecture == config.get("architecture", "") and (
        len(parts) < 3 or not config.get("variant") or parts[2] == config["variant"])


def _block_weight(layout: cgroup.Layout) -> bool:
    if layout.version == 2:
        return "io" in layout.controllers
    place = cgroup.ROOT / layout.controllers.get("blkio", "missing")
    return (place / "blkio.weight").exists() or (place / "blkio.bfq.weight").exists()


def _swap_accounting(layout: cgroup.Layout) -> bool:
    if layout.version == 2:
        return True
    memory = layout.controllers.get("memory")
    return memory is not None and (cgroup.ROOT / memory / "memory.memsw.limit_in_bytes").exists()


def _hostname(core: Core, host: HostConfig, container_id: str) -> str:
    mode = host.network_mode
    if mode == "host" or host.uts_mode == "host":
        return os.uname().nodename
    if mode.startswith("container:"):
        try:
            return core.registry.get(mode.partition(":")[2]).config.hostname
        except NotFound:
            pass      # said at start
    return short(container_id)


def _pick_name(core: Core) -> str:
    for attempt in range(1000):
        name = f"{random.choice(ADJECTIVES)}_{random.choice(NOUNS)}"
        if attempt > 20:
            name += str(random.randrange(10**4))
        if not core.registry.taken(name):
            return name
    return short(new_id())


def endpoint(settings: EndpointSettings | None) -> EndpointSettings:
    return settings or EndpointSettings()
