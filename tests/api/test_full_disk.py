"""A full disk: what fails says so and leaves nothing, what frees space works, nobody waits for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engine import LiveEngine, docker_archive, missing, run

pytestmark = pytest.mark.root
SIZE = 48 << 20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """An engine whose data root is a file system of 48 MiB."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    root = tmp_path_factory.mktemp("full")
    engine = LiveEngine(root, f"solva-full-{os.getpid()}")
    engine.make_netns()
    data = root / "data"
    data.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(data))
    try:
        engine.start()
        engine.load_busybox()
        yield engine
    finally:
        engine.close()
        run("umount", "-l", str(data), check=False)


def used(engine: LiveEngine) -> int:
    stat = os.statvfs(engine.root / "data")
    return (stat.f_blocks - stat.f_bfree) * stat.f_frsize


def test_a_container_that_fills_the_disk_ends_and_goes(small: LiveEngine) -> None:
    before = used(small)
    done = small.cli("run", "--rm", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M; echo after $?")
    assert done.stdout == "after 1\n"
    assert "No space left on device" in done.stderr
    assert small.api.json("GET", "/containers/json", query={"all": True}) == []
    assert used(small) < before + (1 << 20)


def test_an_image_too_big_for_the_disk_is_refused_and_leaves_nothing(small: LiveEngine, tmp_path: Path) -> None:
    before = used(small)
    archive = tmp_path / "big.tar"
    layer = tmp_path / "layer.tar"
    (tmp_path / "big").write_bytes(os.urandom(SIZE + (8 << 20)))
    run("tar", "-cf", str(layer), "-C", str(tmp_path), "big")
    archive.write_bytes(docker_archive("big:1", layer.read_bytes()))
    done = small.cli("load", "-i", str(archive), check=False)
    assert done.returncode == 1
    assert "no space left on device" in (done.stdout + done.stderr).lower()
    assert used(small) < before + (1 << 20)


def test_a_build_too_big_for_the_disk_is_refused_and_leaves_nothing(small: LiveEngine, tmp_path: Path) -> None:
    before = used(small)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY big /big\n")
    (tmp_path / "big").write_bytes(os.urandom(SIZE))
    done = small.cli("build", "-t", "toobig", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "no space left on device" in (done.stdout + done.stderr).lower()
    (tmp_path / "big").unlink()
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M\n")
    done = small.cli("build", "-t", "toobig", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "returned a non-zero code: 1" in done.stdout + done.stderr
    assert small.cli("images", "-q", "toobig").stdout == ""
    assert used(small) < before + (1 << 20)


def test_on_a_full_disk_the_engine_goes_on(small: LiveEngine) -> None:
    small.cli("run", "-d", "--name", "ends", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 3")
    small.cli("run", "-d", "--name", "fill", "-v", "filled:/v", "busybox", "sh", "-c",
              "dd if=/dev/zero of=/v/big bs=4k; touch /tmp/full; sleep 600")
    small.cli("exec", "fill", "sh", "-c", "until [ $(df -P /v | tail -1 | awk '{print $4}') = 0 ]; do sleep 0.1; done")
    small.cli("exec", "ends", "sh", "-c", ": > /go")   # an empty file needs no block
    assert small.cli("wait", "ends").stdout == "3\n"
    small.kill()
    small.start()
    rows = {row["Names"][0]: row["State"] for row in
            small.api.json("GET", "/containers/json", query={"all": True})}
    assert rows == {"/ends": "exited", "/fill": "running"}
    assert small.cli("rm", "-f", "fill", "ends").returncode == 0
    assert small.cli("volume", "rm", "filled").stdout == "filled\n"
    assert small.cli("run", "--rm", "busybox", "echo", "hi").stdout == "hi\n"
