"""Builds on the real thing: overlayfs snapshots, the image store, RUN steps by crun. No network is needed."""

import asyncio
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from solva.api.types.build import BuildOptions
from solva.build.failures import StepFailed
from solva.build.service import BuildService
from solva.clock import SystemClock
from solva.containers.core import Core, Settings
from solva.containers.steps import StepRunner
from solva.events.bus import EventBus
from solva.images.service import ImageService
from solva.networks.model import Sandbox, SandboxConfig
from solva.registry.config import RegistryConfig
from solva.runtimes.cgroups import prepare
from solva.runtimes.crun import Crun
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerStore
from solva.snapshots.overlay import Snapshotter
from solva.store.sqlite import Store

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: overlayfs and crun"),
    pytest.mark.skipif(shutil.which("crun") is None, reason="crun is not installed"),
    pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="/bin/busybox (busybox-static) is not installed"),
]


class HostNetwork:
    """Steps share the host's network here: sandboxes are tested elsewhere."""

    async def attach(self, config: SandboxConfig) -> Sandbox:
        return Sandbox(id=config.id, netns="", endpoints=(), ports=(), hosts_path="", resolv_conf_path="",
                       hostname_path="")

    async def detach(self, sandbox_id: str) -> None:
        pass


class Real:
    """An engine's build side, without the engine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        data, run = root / "data", root / "run"
        spawner = prepare(run, data)
        store, clock = Store(data / "solva.db"), SystemClock()
        content = ContentStore(data / "content")
        self.layers = LayerStore(data / "snapshots", store)
        self.snapshots = Snapshotter(data / "snapshots", store, self.layers, content)
        self.images = ImageService(store, EventBus(clock), clock, content, self.layers, self.snapshots,
                                   RegistryConfig())
        runtime = Crun(spawner, run)
        network: Any = HostNetwork()
        core = Core(Settings(data, run), store, EventBus(clock), clock, runtime, network, self.snapshots, self.images,
                    network)
        steps = StepRunner(core)
        self.service = BuildService(data / "build", store, self.snapshots, self.images, steps, clock,
                                    lambda chain: self.layers.layer(chain) is not None)
        self.layers.hold(self.service.chains)
        self.lines: list[dict[str, Any]] = []

    async def start(self) -> None:
        await self.snapshots.start()
        await self.images.start()
        await self.service.start()
        base = io.BytesIO()
        with tarfile.open(fileobj=base, mode="w") as tar:
            tar.add("/bin/busybox", "bin/busybox")
            for name in ("sh", "cat", "echo", "ls", "sleep", "id", "touch", "rm", "mkdir", "env", "stat"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        await self.build({"Dockerfile": b"FROM scratch\nADD base.tar /\nCMD [\"sh\"]\n", "base.tar": base.getvalue()},
                         tags=("busybox",))

    async def build(self, files: dict[str, bytes], **options: Any) -> str:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, body in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
        self.lines = []
        try:
            await self.service.build(BuildOptions(**options), _chunks(data.getvalue()), None, self.lines.append)
        except StepFailed:
            print("".join(line.get("stream", "") for line in self.lines))
            raise
        return "".join(line.get("stream", "") for line in self.lines)

    async def root_of(self, ref: str) -> Path:
        await self.snapshots.prepare("look", self.images.resolve(ref).chain, init=False)
        return await self.snapshots.mount("look")

    def mounts(self) -> list[str]:
        return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.root) in line]


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for index in range(0, len(data), 65536):
        yield data[index:index + 65536]


@pytest.fixture
def root() -> Iterator[Path]:
    base = Path("/var/tmp") if os.statvfs("/var/tmp").f_bavail else Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix="solva-build-", dir=base))
    yield folder
    left = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    for target in reversed(left):
        subprocess.run(["umount", "-l", target], check=False)
    shutil.rmtree(folder)
    assert all(target in (f"{folder}/run", f"{folder}/data") for target in left), left


def test_article_like_build_and_its_cache(root: Path) -> None:
    files = {
        "Dockerfile": b"FROM busybox\nWORKDIR /app\nENV PYTHONUNBUFFERED=1\nRUN echo up > /up && id -u\n"
                      b"COPY requirements.txt .\nRUN cat requirements.txt > /installed; rm /up\nCOPY . .\n"
                      b"EXPOSE 5000\nCMD [\"python\", \"app.py\"]\n",
        "requirements.txt": b"flask\n", "big": os.urandom(4 << 20)}

    async def run() -> float:
        real = Real(root)
        await real.start()
        text = await real.build(files, tags=("app:1.0.0",))
        assert "Successfully tagged app:1.0.0" in text
        assert "\n0\n" in text
        first = real.images.resolve("app:1.0.0")
        path = await real.root_of("app:1.0.0")
        assert sorted(os.listdir(path)) == ["app", "bin", "installed"]      # neither stubs nor what was removed
        assert sorted(os.listdir(path / "app")) == ["Dockerfile", "big", "requirements.txt"]
        await real.snapshots.remove("look")
        began = time.monotonic()
        text = await real.build(files, tags=("app:1.0.0",))
        took = time.monotonic() - began
        assert text.count("Using cache") == 8
        assert real.images.resolve("app:1.0.0").id == first.id
        assert not [line for line in real.mounts() if "overlay" in line]
        assert real.snapshots.keys() == []
        rows = real.images.history("app:1.0.0")
        assert [row["CreatedBy"] for row in rows][:3] == ['CMD ["python" "app.py"]', "EXPOSE [5000/tcp]",
                                                          "COPY . . # buildkit"]
        return took

    took = asyncio.run(run())
    print(f"cached build: {took * 1000:.0f} ms")
    assert took < 0.6       # under 0.15 on a quiet machine


def test_failure_interruption_and_mounts(root: Path) -> None:
    async def run() -> None:
        real = Real(root)
        await real.start()
        with pytest.raises(StepFailed, match=r"The command '/bin/sh -c exit 7' returned a non-zero code: 7"):
            await real.build({"Dockerfile": b"FROM busybox\nRUN exit 7\n"})
        with pytest.raises(StepFailed, match="non-zero code: 127"):
            await real.build({"Dockerfile": b'FROM busybox\nRUN nosuchprogram\n'})
        task = asyncio.ensure_future(real.build({"Dockerfile": b"FROM busybox\nRUN sleep 300\n"}))
        await asyncio.sleep(0.8)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 5
        assert real.snapshots.keys() == []
        text = await real.build({"f": b"from context\n", "Dockerfile": (
            b"FROM busybox AS one\nRUN echo stage > /s\nFROM busybox\nUSER 5:6\nENV A=1\n"
            b"RUN --mount=type=bind,target=/ctx --mount=from=one,source=/s,target=/mnt/s cat /ctx/f /mnt/s && id -u && "
            b"echo $HOME\nUSER 0\nRUN --mount=type=cache,target=/c echo x >> /c/n; cat /c/n\n"
            b"RUN --mount=type=tmpfs,target=/t touch /t/x && ls /t\n")}, tags=("m",))
        assert "from context\nstage\n5\n/\n" in text
        path = await real.root_of("m")
        assert sorted(os.listdir(path)) == ["bin"]
        await real.snapshots.remove("look")

    asyncio.run(run())
