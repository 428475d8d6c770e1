"""A container service on real crun and conmon, with a network that does nothing and a busybox image."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from solva.clock import SystemClock
from solva.containers.core import Core, Settings
from solva.containers.service import ContainerService
from solva.errors import NotFound
from solva.events.bus import EventBus
from solva.kernel import mount
from solva.networks.model import Sandbox
from solva.runtimes import cgroups
from solva.runtimes.crun import Crun
from solva.store.sqlite import Store

APPLETS = ("sh", "true", "false", "sleep", "echo", "cat", "ls", "id", "env", "hostname", "stty", "head", "mkdir",
           "touch", "kill", "ps", "wc", "mount", "dd", "yes", "tee")


class Networks:
    """Every container has the host's network; no files."""

    def __init__(self) -> None:
        self.live: dict[str, Sandbox] = {}

    def get(self, ref: str) -> Any:
        if ref not in ("bridge", "none", "host"):
            raise NotFound(f"network {ref} not found")
        return SimpleNamespace(name=ref, id=ref)

    async def obstacles(self, networks: Any, ports: Any) -> list[str]:
        return []

    def validate(self, endpoint: Any) -> None: ...

    async def attach(self, config: Any) -> Sandbox:
        self.live[config.id] = Sandbox(config.id, "", (), (), "", "", "")
        return self.live[config.id]

    async def detach(self, sandbox_id: str) -> None:
        self.live.pop(sandbox_id, None)

    async def connect(self, sandbox_id: str, endpoint: Any) -> Any: ...
    async def disconnect(self, sandbox_id: str, network: str, force: bool) -> Any: ...
    async def rename(self, sandbox_id: str, name: str) -> None: ...

    def sandbox(self, sandbox_id: str) -> Sandbox | None:
        return self.live.get(sandbox_id)

    def sandbox_ids(self) -> list[str]:
        return list(self.live)

    async def release_held(self) -> None: ...


class Snapshots:
    """overlayfs on one base directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "base"

    def rootfs(self, key: str) -> Path:
        return self.root / key / "merged"

    async def prepare(self, key: str, parents: tuple[str, ...]) -> None:
        for name in ("fs", "work", "merged"):
            (self.root / key / name).mkdir(parents=True)

    async def mount(self, key: str) -> Path:
        here = self.root / key
        if not os.path.ismount(here / "merged"):
            mount.mount("overlay", here / "merged", "overlay", 0,
                        f"lowerdir={self.base},upperdir={here}/fs,workdir={here}/work")
        return here / "merged"

    async def unmount(self, key: str) -> None:
        mount.umount(self.root / key / "merged", mount.MNT_DETACH)

    async def remove(self, key: str) -> None:
        await self.unmount(key)
        shutil.rmtree(self.root / key)

    def keys(self) -> list[str]:
        return []

    async def changes(self, key: str) -> list[Any]:
        return []

    async def commit(self, key: str) -> Any:
        raise NotImplementedError

    async def usage(self, key: str) -> int:
        return 0


class Images:
    def __init__(self, config: dict[str, Any]) -> None:
        self.record = SimpleNamespace(id="sha256:" + "1" * 64, config={"config": config}, chain=("c",), size=1)

    def resolve(self, ref: str) -> Any:
        if ref not in ("busybox", self.record.id):
            raise NotFound(f"No such image: {ref}")
        return self.record

    async def create(self, *_: Any) -> Any:
        raise NotImplementedError


class Volumes:
    def __init__(self, root: Path) -> None:
        self.root = root

    async def create(self, name: str, driver: str, driver_opts: dict[str, str], labels: dict[str, str]) -> Any:
        (self.root / name).mkdir(parents=True, exist_ok=True)
        return {"Name": name, "Mountpoint": str(self.root / name), "Driver": driver}

    async def mount(self, name: str, user: str) -> Path:
        return self.root / name

    async def unmount(self, name: str, user: str) -> None: ...

    async def populate(self, name: str, source: Path) -> None: ...

    async def remove(self, name: str, *, force: bool) -> None:
        shutil.rmtree(self.root / name)


@dataclass
class Rig:
    """``service`` is the thing under test."""

    root: Path
    core: Core
    service: ContainerService
    bus: EventBus
    store: Store

    async def close(self) -> None:
        for container in self.core.registry.all():
            await self.service.remove(container.id, force=True, volumes=True)
        await self.crash()

    async def crash(self) -> None:
        """The engine ends as by kill -9, as far as containers see."""
        await self.service.stop_service()
        self.core.runtime.spawner.close()
        self.store.close()


def base(root: Path) -> None:
    """The busybox root file system."""
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "data"):
        (root / name).mkdir(parents=True, exist_ok=True)
    if not (root / "bin/busybox").exists():
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for name in APPLETS:
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nann:x:1000:\nextra:x:2000:ann\n")


async def rig(root: Path, networks: Networks | None = None) -> Rig:
    """Make one under ``root``; a second one on the same root adopts what the first left."""
    spawner = cgroups.prepare(root / "run", root / "data")
    base(root / "data/snap/base")
    store = Store(root / "data/state.db")
    bus = EventBus(SystemClock())
    core = Core(Settings(root / "data", root / "run"), store, bus, SystemClock(), Crun(spawner, root / "run"),
                networks or Networks(), Snapshots(root / "data/snap"), Images({"Cmd": ["sh"], "Env": ["A=image"]}),
                Volumes(root / "data/vol"))
    service = ContainerService(core)
    await service.start_service()
    return Rig(root, core, service, bus, store)
