"""Snapshots as plain directories (each layer a whole root), images in a dict, RUN steps by chroot or by a function."""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solva.build.collaborators import StepSpec
from solva.errors import NotFound
from solva.kernel import files
from solva.snapshots.layers import LayerInfo, chain_id


class FakeSnapshots:
    """As ``snapshots.Snapshotter``; a layer's digest is its number, so nothing is ever the same by chance."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers: dict[str, Path] = {}
        self.active: dict[str, tuple[str, ...]] = {}
        self.committed = 0

    async def prepare(self, key: str, parents: tuple[str, ...], *, init: bool = True) -> None:
        target = self.root / key
        target.mkdir(parents=True)
        if parents:
            _copy(self.layers[parents[-1]], target)
        self.active[key] = parents

    async def mount(self, key: str) -> Path:
        assert key in self.active
        return self.root / key

    async def unmount(self, key: str) -> None:
        assert key in self.active

    async def remove(self, key: str) -> None:
        self.active.pop(key, None)
        shutil.rmtree(self.root / key, ignore_errors=True)

    async def commit(self, key: str, *, keep: bool = True) -> LayerInfo:
        self.committed += 1
        return self.add(self.root / key, self.active.pop(key))

    def add(self, path: Path, parents: tuple[str, ...] = ()) -> LayerInfo:
        diff_id = "sha256:" + hashlib.sha256(f"{len(self.layers)}".encode()).hexdigest()
        chain = chain_id(parents[-1] if parents else "", diff_id)
        self.layers[chain] = self.root / f"layer-{len(self.layers)}"
        path.rename(self.layers[chain])
        return LayerInfo(chain, diff_id, 1)


def _copy(source: Path, target: Path) -> None:
    if os.geteuid() == 0:
        files.copy_tree(source, target)
    else:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


@dataclass(frozen=True)
class FakeImage:
    id: str
    config: dict[str, Any]
    chain: tuple[str, ...]


class FakeImages:
    """Images by name; ``remote`` are those that a pull brings."""

    def __init__(self) -> None:
        self.named: dict[str, FakeImage] = {}
        self.remote: dict[str, FakeImage] = {}
        self.pulled: list[str] = []

    def resolve(self, ref: str) -> FakeImage:
        for name in (ref, f"{ref}:latest"):
            if name in self.named:
                return self.named[name]
        raise NotFound(f"No such image: {ref}")

    async def pull(self, ref: str, *, platform: str, auth: Any,
                   progress: Callable[[dict[str, Any]], None]) -> FakeImage:
        self.pulled.append(ref)
        progress({"status": f"Pulling {ref}"})
        if ref not in self.remote:
            raise NotFound(f"pull access denied for {ref}, repository does not exist or may require 'docker login'")
        self.named[ref] = self.remote[ref]
        return self.remote[ref]

    async def create(self, config: dict[str, Any], layers: Sequence[LayerInfo], parent: str,
                     tags: Sequence[str]) -> FakeImage:
        identifier = "sha256:" + hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
        chain: list[str] = []
        for diff_id in config["rootfs"]["diff_ids"]:
            chain.append(chain_id(chain[-1] if chain else "", diff_id))
        image = FakeImage(identifier, config, tuple(chain))
        self.named[identifier] = image
        for tag in tags:
            self.named[tag] = image
        return image


class FunctionSteps:
    """A RUN step is a call; keeps the specs it got."""

    def __init__(self, function: Callable[[StepSpec], int] = lambda spec: 0) -> None:
        self.function = function
        self.specs: list[StepSpec] = []

    async def run(self, spec: StepSpec) -> int:
        self.specs.append(spec)
        await asyncio.sleep(0)
        return self.function(spec)


class ChrootSteps:
    """A RUN step by chroot(1): no namespaces, for tests of a build's result (root)."""

    async def run(self, spec: StepSpec) -> int:
        files_in = [mount for mount in spec.mounts if os.path.isfile(mount.source)]
        for mount in files_in:
            shutil.copy(mount.source, str(spec.rootfs) + mount.target)
        user = ["--userspec", spec.user] if spec.user else []
        process = await asyncio.create_subprocess_exec(
            "/usr/sbin/chroot", *user, str(spec.rootfs), "/bin/busybox", "env", "-i", "HOME=/", *spec.env,
            "/bin/sh", "-c",
            'cd "$1"; shift; exec "$@"', "sh", spec.cwd, *spec.args,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        out, _ = await process.communicate()
        spec.output(out)
        for mount in files_in:
            os.truncate(str(spec.rootfs) + mount.target, 0)
        assert process.returncode is not None
        return process.returncode
