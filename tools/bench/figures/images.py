"""Pulls and pushes, from and to a registry on the side's own loopback; both registries serve the same storage."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import socket
import subprocess
import tarfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from tools.bench.figure import Aim, Figure
from tools.bench.sides import CannotMeasure, Side, Solva

CACHE = Path("/var/cache/solva/bench/images")
PORT, PUSH_PORT, BIG_PORT = 5601, 5602, 5603
_TYPES = "application/vnd.docker."
_running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}


def layers(kind: str) -> Iterator[bytes]:
    """Four layers of 50 MB: of 5,000 files each (``small``), or of one (``large``). A quarter of it is redundant."""
    for number in range(4):
        chance = random.Random(f"{kind}{number}")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            count = 5000 if kind == "small" else 1
            size = 50_000_000 // count
            for index in range(count):
                data = (chance.randbytes(size * 3 // 4).hex()[:size // 4]).encode() + chance.randbytes(size * 3 // 4)
                info = tarfile.TarInfo(f"srv/{number}/{index // 100}/{index}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        yield buffer.getvalue()


def storage(kind: str) -> Path:
    """A registry's storage with ``bench-KIND:1`` in it, written as the registry itself would."""
    root = CACHE / kind
    if (root / "complete").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    repository = root / "docker/registry/v2/repositories" / f"bench-{kind}"

    def blob(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        place = root / "docker/registry/v2/blobs/sha256" / digest[:2] / digest
        place.mkdir(parents=True, exist_ok=True)
        (place / "data").write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def link(folder: Path, digest: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(digest)

    rows, diffs = [], []
    for data in layers(kind):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        row = blob(packer.compress(data) + packer.flush())
        rows.append(row | {"mediaType": f"{_TYPES}image.rootfs.diff.tar.gzip"})
        diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
                              "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
    config["mediaType"] = f"{_TYPES}container.image.v1+json"
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": f"{_TYPES}distribution.manifest.v2+json",
                                "config": config, "layers": rows}).encode())
    for row in (*rows, config):
        link(repository / "_layers/sha256" / str(row["digest"])[7:], str(row["digest"]))
    digest = str(manifest["digest"])
    link(repository / "_manifests/revisions/sha256" / digest[7:], digest)
    link(repository / "_manifests/tags/1/current", digest)
    link(repository / "_manifests/tags/1/index/sha256" / digest[7:], digest)
    (root / "complete").touch()
    return root


def serve(side: Side, root: Path, port: int) -> None:
    """A docker-registry on the side's loopback."""
    stop(side, port)
    if shutil.which("docker-registry") is None:
        raise CannotMeasure("docker-registry is not installed")
    root.mkdir(parents=True, exist_ok=True)
    settings = side.folder / f"registry-{side.name}-{port}.yml"
    settings.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n"
                        f"http: {{addr: '127.0.0.1:{port}'}}\n")
    _running[side.name, port] = subprocess.Popen(
        ["nsenter", f"--net={side.netns}", "--", "docker-registry", "serve", str(settings)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            side.inside(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            return
        except OSError:
            if time.monotonic() > deadline:
                raise CannotMeasure("the registry did not start") from None
            time.sleep(0.05)


def stop(side: Side, port: int) -> None:
    process = _running.pop((side.name, port), None)
    if process is not None:
        process.terminate()
        process.wait()


class Pulls:
    """Samples of one image's pull."""

    def __init__(self, kind: str) -> None:
        self.name = f"127.0.0.1:{PORT}/bench-{kind}:1"
        self.kind = kind

    def prepare(self, side: Side) -> None:
        serve(side, storage(self.kind), PORT)
        self.forget(side)

    def forget(self, side: Side) -> None:
        side.cli("rmi", "-f", self.name, check=False)

    def sample(self, side: Side) -> float:
        return side.cli("pull", "-q", self.name).seconds

    def cleanup(self, side: Side) -> None:
        self.forget(side)
        stop(side, PORT)


class Pushes(Pulls):
    """Of its push, to a registry that is empty."""

    def prepare(self, side: Side) -> None:
        super().prepare(side)
        side.cli("pull", "-q", self.name)
        side.cli("tag", self.name, f"127.0.0.1:{PUSH_PORT}/bench:1")

    def empty(self, side: Side) -> None:
        root = side.folder / f"push-{side.name}"
        stop(side, PUSH_PORT)
        shutil.rmtree(root, ignore_errors=True)
        serve(side, root, PUSH_PORT)

    def sample(self, side: Side) -> float:
        return side.cli("push", "-q", f"127.0.0.1:{PUSH_PORT}/bench:1").seconds

    def cleanup(self, side: Side) -> None:
        side.cli("rmi", "-f", f"127.0.0.1:{PUSH_PORT}/bench:1", check=False)
        stop(side, PUSH_PORT)
        shutil.rmtree(side.folder / f"push-{side.name}", ignore_errors=True)
        super().cleanup(side)


def peak_while_pulling(side: Side) -> float:
    """Peak resident memory of the engine in MB over pulls of 2 GB; the kernel's mark is put back before."""
    assert isinstance(side, Solva)
    Path(f"/proc/{side.pid}/clear_refs").write_text("5")
    for kind in ("small", "large"):
        serve(side, storage(kind), BIG_PORT)
        for _ in range(5):
            name = f"127.0.0.1:{BIG_PORT}/bench-{kind}:1"
            side.cli("pull", "-q", name)
            side.cli("rmi", "-f", name)
        stop(side, BIG_PORT)
    for line in Path(f"/proc/{side.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise CannotMeasure("the kernel tells no peak")


SMALL, LARGE, PUSHED = Pulls("small"), Pulls("large"), Pushes("small")
FIGURES = (
    Figure("pull-small", "pull and unpack 200 MB in 20,000 files", "s", SMALL.sample, Aim(ratio=0.8),
           prepare=SMALL.prepare, after=SMALL.forget, cleanup=SMALL.cleanup, runs=5),
    Figure("pull-large", "pull and unpack 200 MB in 4 files", "s", LARGE.sample, Aim(ratio=0.8),
           prepare=LARGE.prepare, after=LARGE.forget, cleanup=LARGE.cleanup, runs=5),
    Figure("push", "push of the 20,000 files", "s", PUSHED.sample, Aim(ratio=0.9), prepare=PUSHED.prepare,
           before=PUSHED.empty, cleanup=PUSHED.cleanup, runs=5),
    Figure("pull-memory", "peak memory of the engine while pulling 2 GB", "MB", peak_while_pulling, Aim(value=200),
           runs=1, warm_up=0, ours_alone=True),
)
