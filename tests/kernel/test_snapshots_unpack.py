"""Layers on a real file system: hostile ones refused, whiteouts, links, capabilities; overlay snapshots of them."""

import asyncio
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from solva.clock import SystemClock
from solva.errors import SystemFailure
from solva.snapshots.changes import Change
from solva.snapshots.content import ContentStore
from solva.snapshots.layers import LayerInfo, LayerStore
from solva.snapshots.overlay import Snapshotter
from solva.snapshots.worker import Unpacked, UnpackProcess
from solva.store.sqlite import Store

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chroot, mknod, mount")]
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def layer(*items: tuple[str, bytes, str] | tarfile.TarInfo) -> bytes:
    """(name, kind, content or link)"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item in items:
            if isinstance(item, tarfile.TarInfo):
                archive.addfile(item)
                continue
            name, kind, text = item
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
            if kind == tarfile.REGTYPE:
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                archive.addfile(info)
    return out.getvalue()


def unpack(data: bytes, work: Path) -> tuple[Unpacked, Path]:
    file, target = work / "layer", work / "fs"
    file.write_bytes(data)
    target.mkdir()

    async def run() -> Unpacked:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            async with UnpackProcess(descriptor, target) as process:
                process.whole()
                return await process.result()
        finally:
            os.close(descriptor)

    return asyncio.run(run()), target


REG, DIR, SYM, LNK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(("items", "reason"), [
    ([("../evil", REG, "x")], "leads out of the layer"),
    ([("a/../../evil", REG, "x")], "leads out of the layer"),
    ([("/../evil", REG, "x")], "leads out of the layer"),
    ([("out", SYM, "OUTSIDE"), ("out/evil", REG, "x")], "is absolute"),
    ([("out", SYM, "../../.."), ("out/evil", REG, "x")], "leads out of the layer"),
    ([("a", DIR, ""), ("a/up", SYM, "../.."), ("a/up/evil", REG, "x")], "leads out of the layer"),
    ([("loop", SYM, "loop"), ("loop/evil", REG, "x")], "too many levels"),
    ([("h", LNK, "../../outside")], "leads out of the layer"),
    ([("out", SYM, "OUTSIDE"), ("h", LNK, "out/secret")], "is absolute"),
    ([("h", LNK, "missing")], "no such file in this layer"),
    ([("f", REG, "x"), ("f/evil", REG, "x")], "not a directory"),
    ([(".wh...", REG, "")], "invalid whiteout"),
])
def test_hostile_layer_is_refused(items: list[tuple[str, bytes, str]], reason: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    given = [(name, kind, str(outside) if text == "OUTSIDE" else text) for name, kind, text in items]
    with pytest.raises(SystemFailure, match=f"failed to register layer: .*{reason}"):
        unpack(layer(*given), tmp_path)
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").stat().st_nlink == 1
    assert not (tmp_path / "evil").exists()


def test_damaged_and_cut_layers(tmp_path: Path) -> None:
    import gzip

    good = gzip.compress(layer(("f", REG, "x" * 5000)))
    for number, data in enumerate((good[:-20], b"\x1f\x8b" + b"no gzip" * 9, layer(("f", REG, "x" * 5000))[:3000])):
        work = tmp_path / str(number)
        work.mkdir()
        with pytest.raises(SystemFailure, match="failed to register layer"):
            unpack(data, work)


def test_absolute_names_stay_inside(tmp_path: Path) -> None:
    _, root = unpack(layer(("/etc/inside", REG, "x")), tmp_path)
    assert (root / "etc/inside").read_text() == "x"


def test_everything_a_layer_can_hold(tmp_path: Path) -> None:
    setuid = tarfile.TarInfo("bin/su")
    setuid.mode, setuid.uid, setuid.gid, setuid.mtime = 0o4755, 1000, 1001, 1_600_000_000
    setuid.pax_headers = {"SCHILY.xattr.user.note": "hello", "SCHILY.xattr.trusted.overlay.redirect": "/evil"}
    capable = tarfile.TarInfo("bin/ping")
    capable.mode = 0o755
    capable.pax_headers = {"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}
    fifo = tarfile.TarInfo("run/pipe")
    fifo.type = tarfile.FIFOTYPE
    null = tarfile.TarInfo("dev/null")
    null.type, null.mode, null.devmajor, null.devminor = tarfile.CHRTYPE, 0o666, 1, 3
    sticky = tarfile.TarInfo("tmp")
    sticky.type, sticky.mode, sticky.mtime = tarfile.DIRTYPE, 0o1777, 1_500_000_000
    found, root = unpack(layer(
        sticky, setuid, capable, fifo, null, ("tmp/x", REG, "1"), ("lib", SYM, "usr/lib"), ("usr/lib", DIR, ""),
        ("lib/through", REG, "2"), ("hard", LNK, "tmp/x"), ("over", REG, "old"), ("over", REG, "new"),
        ("b\udcff\u00e9", REG, "name"), ("gone/.wh.file", REG, ""), ("hide/.wh..wh..opq", REG, ""),
        ("hide/.wh..wh.aufs", REG, ""), ("both/.wh.d", REG, ""), ("both/d/f", REG, ""),
    ), tmp_path)
    info = (root / "bin/su").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, int(info.st_mtime)) == (
        0o4755, 1000, 1001, 1_600_000_000)
    assert os.listxattr(root / "bin/su") == ["user.note"]
    assert os.getxattr(root / "bin/ping", "security.capability") == CAPABILITY
    assert stat.S_ISFIFO((root / "run/pipe").stat().st_mode)
    assert (root / "dev/null").stat().st_rdev == os.makedev(1, 3)
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "tmp").stat().st_mtime == 1_500_000_000
    assert (root / "usr/lib/through").read_text() == "2"
    assert (root / "hard").stat().st_ino == (root / "tmp/x").stat().st_ino
    assert (root / "over").read_text() == "new"
    assert b"b\xff\xc3\xa9" in os.listdir(os.fsencode(root))
    whiteout = (root / "gone/file").stat()
    assert stat.S_ISCHR(whiteout.st_mode)
    assert whiteout.st_rdev == 0
    assert os.getxattr(root / "hide", "trusted.overlay.opaque") == b"y"
    assert os.listdir(root / "hide") == []
    assert os.getxattr(root / "both/d", "trusted.overlay.opaque") == b"y"
    assert found.compression == ""


class Rig:
    """Layer store and snapshotter on a directory of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "state.db")
        self.content = ContentStore(root / "content")
        self.layers = LayerStore(root / "snapshots", self.store)
        self.snapshots = Snapshotter(root / "snapshots", self.store, self.layers, self.content)
        self.clock = SystemClock()

    async def commit(self, key: str, parents: tuple[str, ...], change: Callable[[Path], None],
                     keep: bool) -> LayerInfo:
        await self.snapshots.prepare(key, parents)
        change(await self.snapshots.mount(key))
        info = await self.snapshots.commit(key, keep=keep)
        if keep:
            await self.snapshots.remove(key)
        return info


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize("keep", [True, False])
def test_commit_and_merge(rig: Rig, keep: bool) -> None:
    def first(root: Path) -> None:
        (root / "d").mkdir()
        for name in ("a", "b", "c"):
            (root / "d" / name).write_text(name)
        os.link(root / "d/a", root / "linked")
        os.setxattr(root / "d/b", "security.capability", CAPABILITY)

    def second(root: Path) -> None:
        import shutil

        (root / "d/a").unlink()
        shutil.rmtree(root / "d")
        (root / "d").mkdir()
        (root / "d/new").write_text("n")
        (root / "linked").chmod(0o600)

    async def run() -> None:
        one = await rig.commit("one", (), first, keep)
        two = await rig.commit("two", (one.chain_id,), second, keep)
        await rig.snapshots.prepare("three", (one.chain_id, two.chain_id))
        root = await rig.snapshots.mount("three")
        assert sorted(os.listdir(root / "d")) == ["new"]
        assert (root / "linked").stat().st_mode & 0o777 == 0o600
        assert (root / "linked").read_text() == "a"
        assert await rig.snapshots.changes("three") == []
        (root / "d/new").unlink()
        (root / "etc/motd").write_text("hi")
        assert await rig.snapshots.changes("three") == [
            Change(0, "/d"), Change(2, "/d/new"), Change(0, "/etc"), Change(1, "/etc/motd")]
        assert await rig.snapshots.usage("three") == 2
        await rig.snapshots.remove("three")
        await rig.snapshots.prepare("four", (one.chain_id,))
        root = await rig.snapshots.mount("four")
        assert os.getxattr(root / "d/b", "security.capability") == CAPABILITY
        await rig.snapshots.remove("four")

    asyncio.run(run())
    assert os.listdir(rig.root / "snapshots/active") == []
    assert os.listdir(rig.root / "snapshots/tmp") == []


def test_same_tree_same_layer(rig: Rig) -> None:
    def change(root: Path) -> None:
        (root / "f").write_text("same")
        for path in (root / "f", root):
            os.utime(path, (1_000_000_000, 1_000_000_000))

    async def run() -> tuple[LayerInfo, LayerInfo]:
        return await rig.commit("a", (), change, True), await rig.commit("b", (), change, False)

    one, two = asyncio.run(run())
    assert one.diff_id == two.diff_id
    assert len([name for name in os.listdir(rig.root / "snapshots/layers") if name.isdigit()]) == 1


def test_many_layers(rig: Rig) -> None:
    async def run() -> None:
        parents: tuple[str, ...] = ()
        for number in range(127):
            await rig.snapshots.prepare(f"k{number}", parents)
            (rig.snapshots.upper(f"k{number}") / str(number)).write_text("")
            info = await rig.snapshots.commit(f"k{number}", keep=False)
            parents = (*parents, info.chain_id)
        await rig.snapshots.prepare("all", parents)
        root = await rig.snapshots.mount("all")
        assert {str(number) for number in range(127)} <= set(os.listdir(root))
        await rig.snapshots.remove("all")

    asyncio.run(run())


def test_killed_engine_leaves_nothing(rig: Rig) -> None:
    async def run() -> None:
        await rig.snapshots.prepare("lives", ())
        await rig.snapshots.mount("lives")
        (rig.root / "snapshots/active/orphan/fs").mkdir(parents=True)
        (rig.layers.scratch() / "fs/half").write_text("x")
        (rig.root / "snapshots/layers/77/fs").mkdir(parents=True)
        rig.store.close()
        again = Rig(rig.root)
        await again.snapshots.start()
        assert os.listdir(rig.root / "snapshots/active") == ["lives"]
        assert os.path.ismount(again.snapshots.rootfs("lives"))
        assert os.listdir(rig.root / "snapshots/tmp") == []
        assert os.listdir(rig.root / "snapshots/layers") == []
        await again.snapshots.remove("lives")

    asyncio.run(run())
