"""RUN steps as containers without a monitor: crun from birth to end, with a container's default rights, filters,
masked paths and devices, on a network sandbox of their own."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from solva import faults
from solva.api.types.container import ContainerConfig, HostConfig, Ulimit
from solva.containers import users
from solva.containers.core import Core
from solva.containers.model import Container, MountPoint
from solva.containers.spec import Surroundings, build
from solva.ids import new_id
from solva.networks.model import EndpointConfig, Sandbox, SandboxConfig
from solva.runtimes import capabilities

CHUNK = 1 << 16
HOSTNAME = "buildkitsandbox"    # what a step sees as its host's name under Docker


@dataclass(frozen=True, slots=True)
class StepMount:
    """One mount of a RUN step. ``kind``: bind or tmpfs; ``source`` is a host path; ``size`` bytes, 0 = no limit."""

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One RUN step. ``user`` is Docker's ``user[:group]``, looked up in ``rootfs``; ``network``: "" or "default" for
    the default bridge, none, host, or a network's name; ``output`` gets the step's stdout and stderr as they come."""

    id: str
    rootfs: Path
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    output: Callable[[bytes], None]
    errors: Callable[[bytes], None] | None = None       # what takes stderr; None: ``output``, in one stream with stdout
    mounts: tuple[StepMount, ...] = ()
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    shm_size: int = 0
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    ulimits: tuple[tuple[str, int, int], ...] = ()      # name, soft, hard


class StepRunner:
    """Runs steps by crun; a bundle lies in the run-time directory for as long as its step lasts."""

    def __init__(self, core: Core) -> None:
        self._runtime = core.runtime
        self._networks = core.networks
        self._profiles = core.profiles
        self._bundles = core.settings.run_root / "build"

    async def run(self, spec: StepSpec) -> int:
        """The exit code (128 + n for signal n). Cancelled: the process and all it started are gone afterwards.
        SolvaError when the sandbox or the runtime cannot be had."""
        identifier = new_id()
        bundle = self._bundles / identifier
        async with AsyncExitStack() as undo:
            bundle.mkdir(parents=True, mode=0o700)
            undo.callback(shutil.rmtree, bundle, True)
            sandbox = await self._sandbox(identifier, spec, undo)
            container = _container(identifier, spec)
            around = self._surroundings(identifier, spec, sandbox)
            (bundle / "config.json").write_bytes(msgspec.json.encode(build(container, around)))
            if spec.mounts:
                self._runtime.spawner.refresh()
            undo.push_async_callback(self._gone, identifier)
            return await self._execute(identifier, bundle, spec)

    async def _sandbox(self, identifier: str, spec: StepSpec, undo: AsyncExitStack) -> Sandbox:
        network = "bridge" if spec.network in ("", "default") else spec.network
        isolated = network in ("none", "host")
        config = SandboxConfig(
            id=identifier, name=spec.id, hostname="" if network == "host" else HOSTNAME,
            mode=("host" if network == "host" else "none") if isolated else "bridge",
            endpoints=() if isolated else (EndpointConfig(network=network),), extra_hosts=spec.extra_hosts)
        undo.push_async_callback(self._networks.detach, identifier)
        return await self._networks.attach(config)

    def _surroundings(self, identifier: str, spec: StepSpec, sandbox: Sandbox) -> Surroundings:
        seccomp, annotations = self._profiles.apply("", capabilities.resolve([], [], privileged=False))
        files = {place: path for place, path in (("/etc/resolv.conf", sandbox.resolv_conf_path),
                                                 ("/etc/hosts", sandbox.hosts_path),
                                                 ("/etc/hostname", sandbox.hostname_path)) if path}
        return Surroundings(
            rootfs=str(spec.rootfs), identity=users.resolve(spec.rootfs, spec.user, []),
            cgroup_path=self._runtime.cgroup_path(identifier), cgroup_version=self._runtime.layout.version,
            netns=sandbox.netns, netns_private=bool(sandbox.netns), hostname=HOSTNAME, files=files,
            mounts=tuple(_mount(mount) for mount in spec.mounts), seccomp=seccomp, annotations=annotations,
            oom_score_adj=None)

    async def _execute(self, identifier: str, bundle: Path, spec: StepSpec) -> int:
        loop = asyncio.get_running_loop()
        outputs = [spec.output] if spec.errors is None else [spec.output, spec.errors]
        async with AsyncExitStack() as undo:
            writers, streams = [], []
            try:
                for _ in outputs:
                    reader, writer = os.pipe2(os.O_CLOEXEC)
                    writers.append(writer)
                    stream = asyncio.StreamReader(limit=CHUNK, loop=loop)
                    transport, _ = await loop.connect_read_pipe(
                        functools.partial(asyncio.StreamReaderProtocol, stream), os.fdopen(reader, "rb"))
                    undo.callback(transport.close)
                    streams.append(stream)
                process = await self._runtime.run(identifier, bundle, fds={1: writers[0], 2: writers[-1]})
                faults.point("build: step")
            finally:
                for writer in writers:
                    os.close(writer)
            pump = asyncio.gather(*(_pump(*pair) for pair in zip(streams, outputs, strict=True)))
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                self._runtime.kill_all(self._runtime.cgroup_path(identifier))
                process.kill()
                pump.cancel()
                raise
            # What the command left running would hold the pipe and the root file system.
            self._runtime.kill_all(self._runtime.cgroup_path(identifier))
            await pump
            return code if code >= 0 else 128 - code

    async def _gone(self, identifier: str) -> None:
        """crun's state and the cgroup of a step that has ended, or must."""
        await asyncio.shield(self._runtime.delete(identifier, self._runtime.cgroup_path(identifier)))


async def _pump(stream: asyncio.StreamReader, output: Callable[[bytes], None]) -> None:
    while data := await stream.read(CHUNK):
        output(data)


def _container(identifier: str, spec: StepSpec) -> Container:
    """The step as a container that is never stored."""
    config = ContainerConfig(hostname=HOSTNAME, user=spec.user, env=list(spec.env), working_dir=spec.cwd)
    host = HostConfig(
        memory=spec.memory, memory_swap=spec.memory_swap, cpu_shares=spec.cpu_shares, cpu_period=spec.cpu_period,
        cpu_quota=spec.cpu_quota, cpuset_cpus=spec.cpuset_cpus, shm_size=spec.shm_size,
        ulimits=[Ulimit(name=name, soft=soft, hard=hard) for name, soft, hard in spec.ulimits])
    return Container(identifier, spec.id, 0, "", (), spec.args[0] if spec.args else "", list(spec.args[1:]), config,
                     host)


def _mount(mount: StepMount) -> MountPoint:
    options = ",".join(["exec", *([f"size={mount.size}"] if mount.size else [])]) if mount.kind == "tmpfs" else ""
    return MountPoint(type=mount.kind, destination=mount.target, source=mount.source, rw=not mount.read_only,
                      read_only_recursive=False, recursive=False,
                      options=options)
