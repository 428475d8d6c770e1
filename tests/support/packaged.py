"""Images made of unpacked Debian packages: programs, the libraries they need, busybox below."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from support.engine import busybox_layer


def layer(root: Path, programs: Iterable[str], scripts: dict[str, str]) -> bytes:
    """``programs`` of the tree ``root`` (paths in it) with their libraries, and ``scripts`` (path -> text)."""
    buffer = io.BytesIO(busybox_layer())
    places = [str(path.parent) for path in root.rglob("*.so*")]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(dict.fromkeys(places))}
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        added: set[str] = set()

        def add(source: Path, name: str) -> None:
            if name in added:
                return
            added.add(name)
            info = tarfile.TarInfo(name)
            data = source.read_bytes()
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))

        for program in programs:
            source = (root / program.lstrip("/")).resolve()
            add(source, program.lstrip("/"))
            done = subprocess.run(["ldd", str(source)], capture_output=True, text=True, env=environment, check=True)
            for line in done.stdout.splitlines():
                words = line.split()
                path = next((word for word in words if word.startswith("/")), "")
                if path.startswith(str(root)):
                    add(Path(path), f"usr/lib/{Path(path).name}")
                elif path:
                    add(Path(path), path.lstrip("/"))
        for name, text in scripts.items():
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size, info.mode = len(text.encode()), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()
