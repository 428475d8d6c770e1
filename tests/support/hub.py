"""A registry that plays Docker Hub for suites of others: busybox under the names that they pull, nothing else."""

from __future__ import annotations

import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from standins.layers import Layer
from standins.oci import Image, Settings, digest_of, make_image
from standins.push import Registry

from support.engine import busybox_layer

SHELL = Settings(env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, cmd=["sh"])


def _layer(root: Path, name: str, tar: bytes) -> Layer:
    import gzip

    packed = gzip.compress(tar, 1, mtime=0)
    path = root / f"{name}.tar.gz"
    path.write_bytes(packed)
    return Layer(path=path, digest=digest_of(packed), diff_id=digest_of(tar), size=len(packed), compression="gzip")


def _like_alpine() -> bytes:
    """What suites expect of Alpine beside its shell: a user and a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("etc", "var", "var/opt"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        text = b"root:x:0:0:root:/root:/bin/ash\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n"
        info = tarfile.TarInfo("etc/passwd")
        info.size, info.mode = len(text), 0o644
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def _hello() -> bytes:
    """One file: a program that says hello (the static busybox under the applet's name would say too little)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        text = b"Hello from Docker!\n"
        info = tarfile.TarInfo("hello")
        info.size, info.mode = len(text), 0o755
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def images(root: Path) -> list[Image]:
    """alpine, busybox, hello-world."""
    shell = _layer(root, "busybox", busybox_layer())
    hello = _layer(root, "hello", _hello())
    how = [(shell, "ADD rootfs.tar / # buildkit")]
    alpine = [*how, (_layer(root, "alpine", _like_alpine()), "ADD alpine.tar / # buildkit")]
    return [
        make_image("library/alpine", ["3.10", "latest"], replace(SHELL, cmd=["/bin/sh"]), alpine, with_index=True),
        make_image("library/busybox", ["latest"], SHELL, how, with_index=True),
        make_image("library/hello-world", ["latest", "linux"], Settings(cmd=["/hello"]), [(hello, "COPY hello /")],
                   with_index=True),
    ]


@contextlib.contextmanager
def hub(root: Path, host: str, port: int = 0) -> Iterator[str]:
    """A registry at ``host`` (an address of this machine) with the images in it: its host:port."""
    root.mkdir(parents=True, exist_ok=True)
    if not port:
        with socket.socket() as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
    (root / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n"
        f"http: {{addr: '{host}:{port}'}}\n")
    program = shutil.which("docker-registry")
    assert program is not None, "docker-registry is not installed"
    process = subprocess.Popen([program, "serve", str(root / "config.yml")],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        registry = Registry(f"{host}:{port}")
        deadline = time.monotonic() + 30
        while not registry.alive():
            assert process.poll() is None, "the registry ended"
            assert time.monotonic() < deadline, "the registry did not start"
            time.sleep(0.05)
        known: dict[str, str] = {}
        for image in images(root):
            registry.push(image, known)
        yield registry.address
    finally:
        process.terminate()
        process.wait()
