"""Volumes: Docker's rules and words; content of an image into a new one."""

import asyncio
import os
from pathlib import Path

import pytest

from solva.clock import SystemClock
from solva.errors import Conflict, InvalidParameter, NotFound
from solva.events.bus import EventBus
from solva.store.sqlite import Store
from solva.volumes.service import ANONYMOUS, VolumeService


@pytest.fixture
def volumes(tmp_path: Path) -> VolumeService:
    return VolumeService(tmp_path / "volumes", Store(tmp_path / "s.db"), EventBus(SystemClock()), SystemClock())


def test_create_is_idempotent(volumes: VolumeService) -> None:
    one = asyncio.run(volumes.create("vol", labels={"a": "b"}))
    assert asyncio.run(volumes.create("vol", labels={"c": "d"})) == one
    assert one["Labels"] == {"a": "b"}
    assert one["Options"] is None
    assert Path(one["Mountpoint"]).is_dir()


def test_anonymous(volumes: VolumeService) -> None:
    row = asyncio.run(volumes.create())
    assert len(row["Name"]) == 64
    assert row["Labels"] == {ANONYMOUS: ""}


@pytest.mark.parametrize(("name", "options", "text"), [
    ("a/b", {}, 'create a/b: "a/b" includes invalid characters for a local volume name'),
    ("vol", {"foo": "x", "type": "tmpfs", "device": "x"}, 'create vol: invalid option: "foo"'),
    ("vol", {"o": "x"}, 'create vol: missing required option: "device"'),
])
def test_refused(volumes: VolumeService, name: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{text}"):
        asyncio.run(volumes.create(name, "local", options))
    assert asyncio.run(volumes.list({})) == []


def test_unknown_driver(volumes: VolumeService) -> None:
    with pytest.raises(NotFound, match='create vol: error looking up volume plugin x: plugin "x" not found'):
        asyncio.run(volumes.create("vol", "x"))


def test_remove(volumes: VolumeService) -> None:
    asyncio.run(volumes.create("vol"))
    volumes.in_use = lambda name: ["c1"] if name == "vol" else []
    with pytest.raises(Conflict, match=r"^remove vol: volume is in use - \[c1\]$"):
        asyncio.run(volumes.remove("vol"))
    volumes.in_use = lambda _: []
    asyncio.run(volumes.remove("vol"))
    with pytest.raises(NotFound, match=r"^get vol: no such volume$"):
        asyncio.run(volumes.remove("vol"))
    asyncio.run(volumes.remove("vol", force=True))


def test_prune_takes_anonymous_ones(volumes: VolumeService) -> None:
    asyncio.run(volumes.create("named"))
    name = asyncio.run(volumes.create())["Name"]
    (volumes.mountpoint(name) / "f").write_text("12345")
    assert asyncio.run(volumes.prune({})) == ([name], 5)
    assert asyncio.run(volumes.prune({"all": ["true"]})) == (["named"], 0)


def test_list_filters(volumes: VolumeService) -> None:
    asyncio.run(volumes.create("aa", labels={"k": "v"}))
    asyncio.run(volumes.create("bb"))
    volumes.in_use = lambda name: ["c"] if name == "bb" else []

    def names(**filters: list[str]) -> list[str]:
        return [row["Name"] for row in asyncio.run(volumes.list(filters))]

    assert names(name=["a"]) == names(label=["k=v"]) == names(dangling=["true"]) == ["aa"]
    assert names(dangling=["false"]) == ["bb"]
    with pytest.raises(InvalidParameter, match=r"^invalid filter 'x'$"):
        names(x=["a"])


def test_populate_once(volumes: VolumeService, tmp_path: Path) -> None:
    image = tmp_path / "image"
    (image / "sub").mkdir(parents=True)
    (image / "f").write_text("x")
    os.link(image / "f", image / "sub/hard")
    (image / "link").symlink_to("/etc/passwd")
    image.chmod(0o750)
    asyncio.run(volumes.create("vol"))
    asyncio.run(volumes.populate("vol", image))
    root = volumes.mountpoint("vol")
    assert sorted(os.listdir(root)) == ["f", "link", "sub"]
    assert (root / "f").stat().st_ino == (root / "sub/hard").stat().st_ino
    assert os.readlink(root / "link") == "/etc/passwd"
    assert root.stat().st_mode & 0o777 == 0o750
    (image / "later").write_text("y")
    asyncio.run(volumes.populate("vol", image))
    assert "later" not in os.listdir(root)


def test_state_survives(volumes: VolumeService, tmp_path: Path) -> None:
    asyncio.run(volumes.create("vol"))
    again = VolumeService(tmp_path / "volumes", Store(tmp_path / "s.db"), EventBus(SystemClock()), SystemClock())
    assert [row["Name"] for row in asyncio.run(again.list({}))] == ["vol"]
