"""Every case of the corpus comes out as on a real Docker: configuration, history, layers, files."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.buildfakes import ChrootSteps, FakeImage, FakeImages, FakeSnapshots
from solva.api.types.build import BuildOptions
from solva.build.service import BuildService
from solva.clock import SystemClock
from solva.errors import SolvaError
from solva.store.sqlite import Store

HERE = Path(__file__).parent / "corpus"
spec = importlib.util.spec_from_file_location("build_corpus_cases", HERE / "cases.py")
assert spec is not None
assert spec.loader is not None
cases = importlib.util.module_from_spec(spec)
sys.modules["build_corpus_cases"] = cases
spec.loader.exec_module(cases)
BASE = json.loads((HERE / "goldens" / "base.json").read_text())
BUSYBOX = "/bin/busybox"
EMPTY: tuple[Any, ...] = (None, "", [], {}, 0)


def write_context(case: Any, where: Path) -> None:
    for name, entry in case.files.items():
        path = where / name
        if isinstance(entry, cases.Dir):
            path.mkdir(exist_ok=True)
        elif isinstance(entry, cases.File):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(entry.data)
            path.chmod(entry.mode)
        else:
            path.symlink_to(entry.target)
    for name, entry in case.files.items():
        if isinstance(entry, cases.Dir):
            (where / name).chmod(entry.mode)
    (where / "Dockerfile.case").write_text(case.dockerfile)
    if "Dockerfile" in case.files:
        (where / "Dockerfile").write_text(case.dockerfile)
        (where / "Dockerfile.case").rename(where.parent / "Dockerfile.case")


def base_image(snapshots: FakeSnapshots) -> FakeImage:
    root = snapshots.root / "base"
    root.mkdir(parents=True)
    (root / "bin").mkdir()
    real = Path(BUSYBOX).exists()
    for name, (kind, _mode, _uid, _gid, detail) in BASE["files"].items():
        path = root / name
        if name == "bin/busybox":
            if real:
                shutil.copy(BUSYBOX, path)
            path.open("ab").truncate(detail)
            path.chmod(0o755)
        elif name.startswith("bin/") and kind in "lh":
            path.symlink_to("busybox") if kind == "l" else os.link(root / "bin/busybox", path)
    layer = snapshots.add(root)
    return FakeImage("sha256:base", {"architecture": "amd64", "os": "linux", "config": {},
                                     "history": [{"created": "2026-01-01T00:00:00Z", "comment": "Imported from -"}],
                                     "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}, (layer.chain_id,))


def listing(root: Path, base: Path | None) -> dict[str, list[Any]]:
    """What differs from the base, as record.py writes it."""
    found: dict[str, list[Any]] = {}
    for folder, directories, names in os.walk(root):
        for name in [*directories, *names]:
            path = Path(folder) / name
            relative = str(path.relative_to(root))
            info = path.lstat()
            kind = "d" if path.is_dir() and not path.is_symlink() else "l" if path.is_symlink() else "f"
            if base is not None and os.path.lexists(base / relative) and kind == "d":
                continue
            if base is not None and os.path.lexists(base / relative) and info.st_mtime == \
                    (base / relative).lstat().st_mtime:
                continue
            detail: Any = os.readlink(path) if kind == "l" else info.st_size if kind == "f" else ""
            found[relative] = [kind, f"{info.st_mode & 0o7777:o}", info.st_uid, info.st_gid, detail]
    return found


def comparable(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if value not in EMPTY}


@pytest.mark.parametrize("name", list(cases.CASES))
def test_corpus_as_docker(name: str, tmp_path: Path) -> None:
    case = cases.CASES[name]
    golden = json.loads((HERE / "goldens" / f"{name}.json").read_text())
    if os.geteuid() != 0:
        pytest.skip("needs root: owners of files and chroot")
    if case.run and not Path(BUSYBOX).exists():
        pytest.skip("needs /bin/busybox for RUN steps")
    asyncio.run(check(case, golden, tmp_path))


async def check(case: Any, golden: dict[str, Any], tmp: Path) -> None:
    snapshots, images = FakeSnapshots(tmp / "snapshots"), FakeImages()
    images.named["busybox:latest"] = images.named["busybox"] = base_image(snapshots)
    service = BuildService(tmp / "build", Store(tmp / "db"), snapshots, images, ChrootSteps(), SystemClock(),
                           lambda chain: chain in snapshots.layers)
    await service.start()

    async def build() -> str:
        scratch = tmp / "build" / "tmp" / "x"
        context = scratch / "context"
        context.mkdir(parents=True)
        write_context(case, context)
        name = "Dockerfile" if "Dockerfile" in case.files else "Dockerfile.case"
        data = (context / name).read_bytes()
        if name != "Dockerfile":
            (context / name).unlink()
        options = BuildOptions(build_args=dict(case.args), target=case.target, dockerfile=name)
        (context / name).write_bytes(data) if name == "Dockerfile" else None
        from solva.build import context as contexts
        from solva.build.builder import Builder
        from solva.build.running import Services

        contexts.apply_ignore(context, name)
        builder = Builder(Services(snapshots, images, service._steps, service._cache, service._mounts))
        try:
            return await builder.build(options, context, lambda line: None, dockerfile=data, scratch=scratch)
        finally:
            shutil.rmtree(scratch)

    if "error" in golden:
        with pytest.raises(SolvaError):
            await build()
        assert not snapshots.active
        return
    identifier = await build()
    image = images.named[identifier]
    assert comparable(image.config["config"]) == comparable(golden["config"])
    assert image.config.get("author", "") == golden["author"]
    rows = [row["created_by"] for row in image.config["history"] if row.get("comment", "").startswith("buildkit")]
    assert rows == golden["history"]
    assert len(image.chain) == golden["layers"]
    base = snapshots.layers[images.named["busybox"].chain[-1]] if "scratch" not in case.dockerfile or \
        image.chain[0] == images.named["busybox"].chain[0] else None
    changed = listing(snapshots.layers[image.chain[-1]], base)
    for path in ("etc", "dev", "proc", "sys", "dev/pts", "dev/shm"):
        if path not in golden["files"]:
            changed.pop(path, None)
    assert changed == golden["files"]
    assert not snapshots.active
    before = snapshots.committed
    assert await build() == identifier
    assert snapshots.committed == before
