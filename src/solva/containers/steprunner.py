"""Build steps: one program in a prepared root file system, by crun without a monitor; same defaults as a container."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from solva.api.types.container import ContainerConfig, HostConfig
from solva.containers import spec, users
from solva.containers.collaborators import Networks
from solva.containers.exec import _pump_out
from solva.containers.model import Container, MountPoint
from solva.errors import InvalidParameter, SolvaError
from solva.ids import new_id, short
from solva.networks.model import EndpointConfig, SandboxConfig
from solva.runtimes import capabilities
from solva.runtimes.crun import Crun
from solva.runtimes.seccomp import Profiles


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step. ``rootfs`` is mounted; ``network``: "default" (the default bridge), "host", "none" or a network."""

    rootfs: Path
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    network: str = "default"
    mounts: tuple[MountPoint, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    hostname: str = "buildkitsandbox"
    privileged: bool = False
    shm_size: int = 0
    host_config: HostConfig = field(default_factory=HostConfig)
    output: Callable[[int, bytes], None] = lambda _stream, _data: None     # stream 1 or 2


class StepRunner:
    """One an engine."""

    def __init__(self, runtime: Crun, networks: Networks, profiles: Profiles, run_root: Path) -> None:
        self._runtime, self._networks, self._profiles = runtime, networks, profiles
        self._root = run_root / "steps"

    async def run(self, step: StepSpec) -> int:
        """The exit code. Cancelling kills the step; nothing is left either way."""
        step_id = new_id()
        bundle = self._root / short(step_id)
        bundle.mkdir(parents=True, mode=0o700)
        async with AsyncExitStack() as undo:
            undo.callback(shutil.rmtree, bundle, True)
            netns, files = await self._network(step, step_id, undo)
            container = _container(step, step_id)
            names = capabilities.resolve(step.host_config.cap_add, step.host_config.cap_drop,
                                         privileged=step.privileged)
            seccomp, annotations = (None, {}) if step.privileged else self._profiles.apply("", names)
            group = self._runtime.cgroup_path(step_id)
            around = spec.Surroundings(
                rootfs=str(step.rootfs), identity=users.resolve(step.rootfs, step.user, []), cgroup_path=group,
                cgroup_version=self._runtime.layout.version, netns=netns, netns_private=bool(netns),
                hostname=step.hostname, files=files, mounts=step.mounts, seccomp=seccomp, annotations=annotations,
                oom_score_adj=None,
            )
            (bundle / "config.json").write_bytes(msgspec.json.encode(spec.build(container, around)))
            undo.push_async_callback(self._runtime.delete, step_id, group)
            return await self._pump(step, step_id, bundle)

    async def _pump(self, step: StepSpec, step_id: str, bundle: Path) -> int:
        readers: list[int] = []
        fds: dict[int, int] = {}
        try:
            for number in (1, 2):
                reader, writer = os.pipe()
                readers.append(reader)
                fds[number] = writer
            try:
                process = await self._runtime.run(step_id, bundle, fds=fds)
            finally:
                for fd in fds.values():
                    os.close(fd)
            try:
                await asyncio.gather(*(_pump_out(fd, self._writer(step, number))
                                       for number, fd in enumerate(readers, 1)))
                rc = await process.wait()
            except BaseException:
                self._runtime.kill_all(self._runtime.cgroup_path(step_id))
                process.kill()
                raise
        finally:
            for fd in readers:
                os.close(fd)
        return 128 - rc if rc < 0 else rc

    @staticmethod
    def _writer(step: StepSpec, number: int) -> Callable[[bytes], object]:
        async def write(data: bytes) -> None:
            step.output(number, data)

        return write

    async def _network(self, step: StepSpec, step_id: str, undo: AsyncExitStack) -> tuple[str, dict[str, str]]:
        mode = "bridge" if step.network in ("", "default") else step.network
        if mode.startswith("container:"):
            raise InvalidParameter(f"network mode {mode} is not supported for build steps")
        endpoints = () if mode in ("host", "none") else (EndpointConfig(mode),)
        config = SandboxConfig(step_id, f"build-{short(step_id)}", step.hostname, "",
                               mode if mode in ("host", "none") else "bridge",  # type: ignore[arg-type]
                               endpoints, (), extra_hosts=step.extra_hosts)
        try:
            sandbox = await self._networks.attach(config)
        except SolvaError as error:
            raise type(error)(f"failed to set up container networking: {error}") from error
        undo.push_async_callback(self._networks.detach, step_id)
        pairs = (("/etc/resolv.conf", sandbox.resolv_conf_path), ("/etc/hosts", sandbox.hosts_path))
        return sandbox.netns, {place: source for place, source in pairs if source}


def _container(step: StepSpec, step_id: str) -> Container:
    host = msgspec.structs.replace(step.host_config, privileged=step.privileged, shm_size=step.shm_size)
    config = ContainerConfig(hostname=step.hostname, env=list(step.env), working_dir=step.cwd)
    return Container(id=step_id, name=f"build-{short(step_id)}", created_ns=0, image_id="", chain=(),
                     path=step.args[0], args=list(step.args[1:]), config=config, host_config=host)
