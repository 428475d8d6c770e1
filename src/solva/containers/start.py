"""start: network sandbox, root file system, mounts, specification, monitor, attached clients, program, state, event."""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from solva import faults
from solva.containers import health, joined, links, logging, monitor, networking, state, users
from solva.containers.core import Core, Live
from solva.containers.create import spec_init
from solva.containers.model import Container, MountPoint
from solva.containers.spec import DEFAULT_SHM, Surroundings, build, security_options
from solva.errors import Conflict, InvalidParameter, NotFound, NotModified, SolvaError, SystemFailure
from solva.kernel import mount as kernel_mount
from solva.kernel.pidfd import Watch, start_time
from solva.networks.model import Sandbox
from solva.runtimes import capabilities, conmon, errors


@dataclass(frozen=True, slots=True)
class _Network:
    netns: str
    private: bool
    files: dict[str, str]


async def start(core: Core, container: Container) -> None:
    """Run it; NotModified when it runs already. A failure leaves it as it was, with State.Error and an exit code."""
    async with core.lock(container.id):
        current = container.state
        if current.status == "paused":
            raise Conflict("cannot start a paused container, try unpause instead")
        if current.alive:
            raise NotModified(f"container {container.id} is already running")
        if current.status in ("removing", "dead"):
            raise Conflict("container is marked for removal and cannot be started")
        monitor.cancel_restart(core, container)
        current.restart_count = 0
        await locked(core, container)


async def locked(core: Core, container: Container) -> None:
    """``start`` with the lock held (also for restarts)."""
    try:
        async with AsyncExitStack() as undo:
            await _start(core, container, undo)
            undo.pop_all()
    except BaseException as error:
        code = 128
        if isinstance(error, SolvaError):
            text = str(error)
            code = 127 if ("executable file not found" in text or "no such file or directory" in text) else (
                126 if "permission denied" in text or "is a directory" in text else 128)
        state.start_failed(container.state, exit_code=code, error=str(error))
        core.registry.save(container)
        hub = core.hubs.pop(container.id, None)
        if hub is not None:
            hub.finish()
        if container.host_config.auto_remove:
            core.background(monitor.auto_remove(core, container))
        raise


async def _start(core: Core, container: Container, undo: AsyncExitStack) -> None:
    bundle = core.paths.bundle(container.id)
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(parents=True, mode=0o700)
    undo.callback(shutil.rmtree, bundle, True)
    logging.prepare(core, container)
    await logging.connectable(container)
    faults.point("start: bundle")
    network = await _network(core, container, undo)
    faults.point("start: network")
    rootfs = await core.snapshots.mount(container.id)
    undo.push_async_callback(core.snapshots.unmount, container.id)
    points = await _mount_volumes(core, container, undo)
    faults.point("start: mounted")
    around = _surroundings(core, container, rootfs, network, points)
    (bundle / "config.json").write_bytes(msgspec.json.encode(build(container, around)))
    if any(point.type == "bind" for point in points):
        core.runtime.spawner.refresh()
    try:
        undo.push_async_callback(core.runtime.delete, container.id, _group(core, container))
        created = await core.runtime.create(_monitor_spec(core, container, bundle))
    except conmon.CreateFailed as error:
        raise _refused(error, container.path) from None
    undo.callback(core.runtime.kill, created.pid, 9)
    faults.point("start: created")
    await _run(core, container, created)


async def _run(core: Core, container: Container, created: conmon.Monitored) -> None:
    try:
        watch = Watch(created.conmon_pid, lambda: monitor.ended(core, container))
    except ProcessLookupError:
        raise SystemFailure("conmon ended before the container was started") from None
    live = Live(watch)
    started_before = container.state.started_ns
    try:
        hub = core.hubs.get(container.id)
        if hub is not None:
            hub.connect()
        wanted = health.wanted(container)
        state.started(container.state, pid=created.pid, pid_start=start_time(created.pid),
                      conmon_pid=created.conmon_pid, boot=monitor.boot_id(), now=core.clock.time_ns(), health=wanted)
        core.live[container.id] = live
        core.registry.save(container)     # before the program runs: an engine that dies here adopts it
        faults.point("start: recorded")
        try:
            await core.runtime.start(container.id)
        except conmon.CreateFailed as error:
            raise _refused(error, container.path) from None
        faults.point("start: runs")
    except BaseException:
        watch.close()
        core.live.pop(container.id, None)
        container.state.started_ns = started_before
        raise
    core.event(container, "start")
    logging.begin(core, container, live)
    if wanted:
        live.health = core.background(health.run(core, container))


def _refused(error: conmon.CreateFailed, program: str) -> InvalidParameter | SystemFailure:
    cause, code = errors.translate(str(error), program)
    kind = InvalidParameter if code in (126, 127) else SystemFailure
    return kind(errors.CREATE_PREFIX + cause)


async def _network(core: Core, container: Container, undo: AsyncExitStack) -> _Network:
    mode = networking.mode_of(container)
    if mode.startswith("container:"):
        try:
            target = core.registry.get(mode.partition(":")[2])
        except NotFound as error:
            raise NotFound(f"joining network namespace of container: {error}") from None
        if not target.state.alive:
            raise Conflict("cannot join network namespace of a non running container: container "
                           f"{target.name} is {target.state.status}")
        sandbox = core.networks.sandbox(target.id)
        if sandbox is None:
            raise SystemFailure(f"container {target.name} has no network sandbox")
        return _Network(sandbox.netns, False, _files(sandbox))
    try:
        sandbox = await core.networks.attach(networking.sandbox_config(core, container))
    except SolvaError as error:
        raise type(error)(f"failed to set up container networking: {error}") from error
    undo.push_async_callback(joined.let_go, core, container)
    container.network_ids = {each.network_name: each.network_id for each in sandbox.endpoints}
    return _Network(sandbox.netns, bool(sandbox.netns), _files(sandbox))


def _files(sandbox: Sandbox) -> dict[str, str]:
    pairs = (("/etc/resolv.conf", sandbox.resolv_conf_path), ("/etc/hostname", sandbox.hostname_path),
             ("/etc/hosts", sandbox.hosts_path))
    return {place: source for place, source in pairs if source}


async def _mount_volumes(core: Core, container: Container, undo: AsyncExitStack) -> tuple[MountPoint, ...]:
    points, mounted = [], set()
    for point in container.mounts:
        if point.type == "volume":
            path = await core.volumes.mount(point.name, container.id)
            if point.name not in mounted:
                mounted.add(point.name)
                undo.push_async_callback(core.volumes.unmount, point.name, container.id)
            source = point.source = str(path)
            if point.subpath:
                source = _subpath(path, point.subpath)
            points.append(msgspec.structs.replace(point, source=source))
        elif point.type == "bind":
            if not os.path.lexists(point.source):
                if point.spec is not None:
                    raise InvalidParameter('invalid mount config for type "bind": bind source path does not exist: '
                                           f"{point.source}")
                os.makedirs(point.source, exist_ok=True)
            points.append(point)
        else:
            points.append(point)
    return tuple(points)


def _subpath(volume: Path, subpath: str) -> str:
    from solva.kernel import inroot

    try:
        return inroot.host_path(volume, subpath)
    except OSError as error:
        raise InvalidParameter(f"cannot access path {volume}/{subpath}: {error.strerror}") from None


def _surroundings(core: Core, container: Container, rootfs: Path, network: _Network,
                  points: tuple[MountPoint, ...]) -> Surroundings:
    host = container.host_config
    options = security_options(host.security_opt)
    seccomp: dict[str, Any] | None = None
    annotations: dict[str, str] = {}
    profile = options.get("seccomp", "")
    if not host.privileged and profile != "unconfined":
        names = capabilities.resolve(host.cap_add, host.cap_drop, privileged=False)
        seccomp, annotations = core.profiles.apply("" if profile in ("", "builtin") else profile, names)
    ipc, shm = _ipc(core, container)
    pid = host.pid_mode
    if pid.startswith("container:"):
        pid = f"/proc/{_joined(core, pid, 'PID').state.pid}/ns/pid"
    return Surroundings(
        rootfs=str(rootfs), identity=users.resolve(rootfs, container.config.user, host.group_add),
        cgroup_path=_group(core, container), cgroup_version=core.runtime.layout.version, netns=network.netns,
        netns_private=network.private, ipc=ipc, pid=pid, uts=host.uts_mode, shm=shm,
        hostname=container.config.hostname, files=network.files, mounts=points,
        init=spec_init() if host.init else "", seccomp=seccomp, annotations=annotations,
        oom_score_adj=_oom_score(host.oom_score_adj), extra_env=tuple(links.environment(core, container)),
    )


def _ipc(core: Core, container: Container) -> tuple[str, str]:
    """(namespace, host directory for /dev/shm) by the IPC mode."""
    mode = container.host_config.ipc_mode
    if mode == "host":
        return "host", "/dev/shm"
    if mode.startswith("container:"):
        target = _joined(core, mode, "IPC")
        if target.host_config.ipc_mode != "shareable":
            raise InvalidParameter(f"cannot join IPC of a container {target.name}: non-shareable IPC "
                                   '(hint: use IpcMode:shareable for the donor container)')
        return f"/proc/{target.state.pid}/ns/ipc", str(core.paths.bundle(target.id) / "shm")
    if mode == "shareable":
        shm = core.paths.bundle(container.id) / "shm"
        shm.mkdir(exist_ok=True)
        size = container.host_config.shm_size or DEFAULT_SHM
        kernel_mount.mount("shm", shm, "tmpfs", kernel_mount.MS_NOSUID | kernel_mount.MS_NODEV
                           | kernel_mount.MS_NOEXEC, f"mode=1777,size={size}")
        return "", str(shm)
    return "", ""


def _joined(core: Core, mode: str, label: str) -> Container:
    target = core.registry.get(mode.partition(":")[2])
    if not target.state.alive:
        raise Conflict(f"cannot join {label} of a non running container: {target.id}")
    return target


def _oom_score(wanted: int) -> int | None:
    if wanted:
        return wanted
    try:
        return max(0, int(Path("/proc/self/oom_score_adj").read_text()))
    except (OSError, ValueError):
        return None


def _group(core: Core, container: Container) -> str:
    return core.runtime.cgroup_path(container.id, container.host_config.cgroup_parent)


def _monitor_spec(core: Core, container: Container, bundle: Path) -> conmon.MonitorSpec:
    config, log = container.config, container.host_config.log_config
    return conmon.MonitorSpec(
        id=container.id, bundle=bundle, log=None if log.type == "none" else core.paths.log(container.id),
        terminal=config.tty, stdin=config.open_stdin, leave_stdin_open=not config.stdin_once,
        log_size_max=logging.prepare(core, container),
    )
