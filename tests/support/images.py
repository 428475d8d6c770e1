"""Images without an engine around them, and Debian's docker-registry as a process of the test."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from solva.clock import SystemClock
from solva.events.bus import EventBus
from solva.images.service import ImageService
from solva.kernel.setns import in_netns
from solva.registry.config import RegistryConfig
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerStore
from solva.snapshots.overlay import Snapshotter
from solva.store.sqlite import Store

PLAIN = os.urandom(3_000_000)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def docker_registry(root: Path, http: str = "", more: str = "", netns: str = "") -> Iterator[int]:
    """Its port. ``http``: further lines of its `http` section, ``more``: further sections, as YAML flow. ``netns``:
    path of the network namespace whose loopback it is on."""
    port = free_port()
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'{http}}}\n{more}")
    there = ["nsenter", f"--net={netns}", "--"] if netns else []
    process = subprocess.Popen([*there, "docker-registry", "serve", str(root / "config.yml")],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def knock() -> None:
        socket.create_connection(("127.0.0.1", port), 1).close()

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            in_netns(netns, knock) if netns else knock()
            break
        time.sleep(0.05)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


class Engine:
    """Images on a directory of their own."""

    def __init__(self, root: Path, mirrors: dict[str, list[str]] | None = None) -> None:
        self.root = root
        self.store = Store(root / "state.db")
        self.bus = EventBus(SystemClock())
        self.content = ContentStore(root / "content")
        self.layers = LayerStore(root / "snapshots", self.store)
        self.snapshots = Snapshotter(root / "snapshots", self.store, self.layers, self.content)
        self.images = ImageService(self.store, self.bus, SystemClock(), self.content, self.layers, self.snapshots,
                                   RegistryConfig(mirrors or {}))
        self.lines: list[dict[str, Any]] = []

    async def make(self, *tags: str) -> str:
        """An image of two layers, by the snapshotter."""
        chain: tuple[str, ...] = ()
        layers = []
        for name, content in (("first", PLAIN), ("second", b"2")):
            await self.snapshots.prepare(name, chain, init=False)
            (self.snapshots.upper(name) / name).write_bytes(content)
            layers.append(await self.snapshots.commit(name, keep=False))
            chain = (*chain, layers[-1].chain_id)
        config = {"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
                  "config": {"Cmd": ["x"], "Labels": {"a": "b"}}}
        return (await self.images.create(config, layers, "", tags)).id

    async def pull(self, ref: str) -> str:
        self.lines = []
        return (await self.images.pull(ref, progress=self.lines.append)).id

    def statuses(self) -> list[str]:
        return [line["status"] for line in self.lines]

    def leftovers(self) -> list[str]:
        return os.listdir(self.root / "snapshots/tmp") + os.listdir(self.root / "snapshots/active")
