"""Where crun and conmon run: the machine's cgroup layout, and a view of it that crun accepts.

crun refuses v1 hierarchies with a v2 one beside them ("hybrid mode"), whatever the v2 one carries. Programs are
therefore started from a thread with a mount namespace of its own, slave of the host's, in which the v2 hierarchy is
not mounted. A new engine makes a new thread; a conmon keeps alive the namespace that it was started in. On a machine
with one hierarchy kind, the thread has the host's namespace.

What the engine mounts for a container must reach the slave: the data root and the run-time directory are made
shared mounts where the machine's are private (a machine without systemd). ``prepare`` must run before anything is
mounted below them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from solva.errors import SystemFailure
from solva.kernel import cgroup
from solva.kernel.process import Completed, Process, Spawner

PARENT = "/solva"


class RuntimeSpawner:
    """Starts runtime programs in the right mount namespace."""

    def __init__(self, layout: cgroup.Layout) -> None:
        if layout.version == 0:
            raise SystemFailure("no cgroup hierarchy is mounted: Solva needs /sys/fs/cgroup (v1, hybrid or v2)")
        self.layout = layout
        self._isolated = bool(layout.hybrid)
        self._table = ""
        self._spawner = self._make()

    def _make(self) -> Spawner:
        if not self._isolated:
            return Spawner()
        self._table = _foreign_mounts()
        return Spawner(partial(cgroup.hide, self.layout.hybrid))

    def refresh(self) -> None:
        """See mounts that the administrator has made since. Where ``/`` is a shared mount they come by themselves;
        where it is private, a changed mount table means a new namespace. Called before a start with bind mounts."""
        if self._isolated and _foreign_mounts() != self._table:
            self._spawner.close()
            self._spawner = self._make()

    async def spawn(self, argv: list[str], *, fds: dict[int, int] | None = None, env: dict[str, str] | None = None,
                    cwd: str = "/") -> Process:
        """See ``Spawner.spawn``."""
        return await self._spawner.spawn(argv, fds=fds, env=env, cwd=cwd)

    async def run(self, argv: list[str], *, fds: dict[int, int] | None = None, env: dict[str, str] | None = None,
                  cwd: str = "/") -> Completed:
        """See ``Spawner.run``."""
        return await self._spawner.run(argv, fds=fds, env=env, cwd=cwd)

    def close(self) -> None:
        self._spawner.close()


def prepare(run_root: Path, data_root: Path) -> RuntimeSpawner:
    """The spawner for this machine; idempotent. First thing at engine start."""
    layout = cgroup.probe()
    for root in (run_root, data_root):
        root.mkdir(parents=True, exist_ok=True)
        if layout.hybrid:
            cgroup.share(root)
    return RuntimeSpawner(layout)


def _foreign_mounts() -> str:
    """The lines of the mount table that do not come to us by propagation: those on private mounts."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    if any(line.split()[4] == "/" and "shared:" in line for line in lines):
        return ""
    return "\n".join(line for line in lines if "shared:" not in line)
