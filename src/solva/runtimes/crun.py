"""crun: create (through conmon), start, signal, exec, pause, update and delete containers, and run build steps."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import msgspec

from solva.errors import SystemFailure
from solva.kernel import cgroup
from solva.kernel.process import Process
from solva.runtimes import conmon
from solva.runtimes.cgroups import PARENT, RuntimeSpawner

CRUN = shutil.which("crun") or "/usr/bin/crun"


class Crun:
    """One an engine. ``run_root`` holds crun's own state under ``crun/``."""

    name = "crun"

    def __init__(self, spawner: RuntimeSpawner, run_root: Path) -> None:
        self.spawner = spawner
        self._root = run_root / "crun"
        self._tmp = run_root / "tmp"
        for path in (self._root, self._tmp):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
        self._globals = [f"--root={self._root}", "--cgroup-manager=cgroupfs"]

    @property
    def layout(self) -> cgroup.Layout:
        return self.spawner.layout

    @staticmethod
    def cgroup_path(container_id: str, parent: str = "") -> str:
        """The group of a container, below the root of every hierarchy."""
        return f"{parent.rstrip('/') or PARENT}/{container_id}"

    async def create(self, spec: conmon.MonitorSpec) -> conmon.Monitored:
        """Everything but the exec of the program. ``spec.bundle`` holds config.json. conmon.CreateFailed."""
        return await conmon.create(self.spawner, spec, CRUN, self._globals, self._tmp)

    async def start(self, container_id: str) -> None:
        """The program runs from here on. conmon.CreateFailed with crun's words."""
        done = await self.spawner.run([CRUN, *self._globals, "start", container_id])
        if done.rc != 0:
            raise conmon.CreateFailed(done.stderr.decode(errors="replace").strip())

    def waiting(self, container_id: str) -> bool:
        """Whether it was created and never started."""
        return (self._root / container_id / "exec.fifo").exists()

    async def delete(self, container_id: str, cgroup_path: str) -> None:
        """Forget a stopped container and its groups; fine when it is gone already."""
        if (self._root / container_id).exists():
            done = await self.spawner.run([CRUN, *self._globals, "delete", "--force", container_id])
            if done.rc != 0 or (self._root / container_id).exists():
                await asyncio.to_thread(shutil.rmtree, self._root / container_id, True)
        cgroup.remove(self.layout, cgroup_path)     # crun leaves them after some failures to create

    async def pause(self, container_id: str) -> None:
        await self._must("pause", container_id)

    async def resume(self, container_id: str) -> None:
        await self._must("resume", container_id)

    async def update(self, container_id: str, resources: dict[str, Any]) -> None:
        """Apply an OCI ``linux.resources`` to a running container."""
        fd = os.memfd_create("resources")
        try:
            os.write(fd, msgspec.json.encode(resources))
            done = await self.spawner.run([CRUN, *self._globals, "update", "-r", "/proc/self/fd/3", container_id],
                                          fds={3: fd})
        finally:
            os.close(fd)
        if done.rc != 0:
            raise SystemFailure(f"Cannot update container {container_id}: {_said(done.stderr)}")

    async def exec(self, container_id: str, process_file: Path, log: Path, *, fds: dict[int, int],
                   console: Path | None = None, pid_file: Path | None = None) -> Process:
        """Start a further process in a container. ``process_file`` is an OCI process; what crun itself has to say
        goes to ``log``; the exit code is the program's."""
        argv = [CRUN, *self._globals, f"--log={log}", "exec", "--process", str(process_file)]
        if console is not None:
            argv += ["--tty", "--console-socket", str(console)]
        if pid_file is not None:
            argv += ["--pid-file", str(pid_file)]
        return await self.spawner.spawn([*argv, container_id], fds=fds)

    async def run(self, container_id: str, bundle: Path, *, fds: dict[int, int]) -> Process:
        """A container without a monitor, ours from birth to end (build steps)."""
        return await self.spawner.spawn(
            [CRUN, *self._globals, "run", "--bundle", str(bundle), container_id], fds=fds, cwd=str(bundle)
        )

    def kill(self, pid: int, number: int) -> bool:
        """Signal a container's first process; False when it is gone."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def kill_all(self, cgroup_path: str) -> None:
        """SIGKILL to every process of a group."""
        for pid in cgroup.processes(self.layout, cgroup_path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def processes(self, cgroup_path: str) -> list[int]:
        """The container's pids, as the host counts them."""
        return cgroup.processes(self.layout, cgroup_path)

    async def _must(self, verb: str, container_id: str) -> None:
        done = await self.spawner.run([CRUN, *self._globals, verb, container_id])
        if done.rc != 0:
            raise SystemFailure(f"Cannot {verb} container {container_id}: {_said(done.stderr)}")


def _said(stderr: bytes) -> str:
    return stderr.decode(errors="replace").strip() or "crun said nothing"
