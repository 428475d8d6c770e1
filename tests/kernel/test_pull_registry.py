"""Push and pull against a real registry, behind servers that cut connections, corrupt data, ask for tokens."""

import asyncio
import contextlib
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from solva.errors import NotFound, SystemFailure
from support.images import PLAIN, Engine, docker_registry, free_port

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chroot, mount"),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed"),
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as port:
        yield port


@pytest.fixture(scope="module")
def pushed(registry: int, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """A registry with d/app:1, pushed by us; (port, image id)."""

    async def run() -> str:
        engine = Engine(tmp_path_factory.mktemp("pusher"))
        image_id = await engine.make(f"127.0.0.1:{registry}/d/app:1", f"127.0.0.1:{registry}/library/mirrored:1")
        for name in ("d/app", "library/mirrored"):
            await engine.images.push(f"127.0.0.1:{registry}/{name}", tag="1", platform="", auth=None,
                                     progress=engine.lines.append)
        assert any(line.get("aux", {}).get("Tag") == "1" for line in engine.lines)
        told = [line["status"] for line in engine.lines if "status" in line]
        assert told.count("Pushed") == told.count("Mounted from d/app") == 2
        return image_id

    return registry, asyncio.run(run())


class Proxy:
    """A TCP relay to the registry that may cut after some bytes, or change one."""

    def __init__(self, port: int, *, cut: int = 0, cuts: int = 0, corrupt: bool = False) -> None:
        self._port, self._cut, self.cuts, self._corrupt = port, cut, cuts, corrupt
        self.done = 0
        self.ranges: list[str] = []

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            upstream, out = await asyncio.open_connection("127.0.0.1", self._port)
            while True:
                first = await reader.readexactly(1)
                if first == b"\x16":      # a TLS greeting: we speak plain HTTP
                    break
                head = first + await reader.readuntil(b"\r\n\r\n")
                text = head.decode()
                self.ranges += [line for line in text.split("\r\n") if line.startswith("Range")]
                out.write(head)
                answer = await upstream.readuntil(b"\r\n\r\n")
                length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                body = b"" if text.startswith("HEAD") else await upstream.readexactly(length)
                if "/blobs/" in text and length > 1_000_000 - self._cut * 4:
                    if self.done < self.cuts and length > self._cut:
                        self.done += 1
                        writer.write(answer + body[:self._cut])
                        await writer.drain()
                        break
                    if self._corrupt and length > 1_000_000:
                        body = body[:500_000] + bytes([body[500_000] ^ 1]) + body[500_001:]
                writer.write(answer + body)
                await writer.drain()
            out.close()
        writer.close()


def test_pull(pushed: tuple[int, str], tmp_path: Path) -> None:
    port, image_id = pushed

    async def run() -> None:
        engine = Engine(tmp_path)
        ref = f"127.0.0.1:{port}/d/app:1"
        assert await engine.pull(ref) == image_id
        statuses = engine.statuses()
        assert statuses[0] == "Pulling from d/app"
        assert statuses.count("Pulling fs layer") == statuses.count("Pull complete") == 2
        assert statuses.count("Verifying Checksum") == statuses.count("Download complete") == 2
        assert statuses[-2].startswith("Digest: sha256:")
        assert statuses[-1] == f"Status: Downloaded newer image for {ref}"
        await engine.pull(ref)
        assert [line for line in engine.statuses() if not line.startswith("Digest")] == [
            "Pulling from d/app", f"Status: Image is up to date for {ref}"]
        record = engine.images.resolve(image_id[7:19])
        assert record.repo_tags == (ref,)
        assert len(record.repo_digests) == 1
        assert await engine.pull(record.repo_digests[0]) == image_id
        await engine.snapshots.prepare("c", record.chain)
        root = await engine.snapshots.mount("c")
        assert (root / "first").read_bytes() == PLAIN
        await engine.snapshots.remove("c")
        rows = await engine.images.remove(ref)
        assert [next(iter(row)) for row in rows] == ["Untagged", "Untagged", "Deleted", "Deleted", "Deleted"]
        assert os.listdir(tmp_path / "content/blobs/sha256") == []
        assert engine.leftovers() == []

    asyncio.run(run())


def test_errors(pushed: tuple[int, str], tmp_path: Path) -> None:
    port, _ = pushed

    async def run() -> None:
        engine = Engine(tmp_path)
        ref = f"127.0.0.1:{port}/d/app:none"
        with pytest.raises(NotFound, match=f"^manifest for {ref} not found: manifest unknown: manifest unknown$"):
            await engine.pull(ref)
        dead = free_port()
        with pytest.raises(SystemFailure, match="connect: connection refused"):
            await engine.pull(f"127.0.0.1:{dead}/x")
        with pytest.raises(NotFound, match=r"^No such image: nothing:latest$"):
            engine.images.resolve("nothing")
        with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
            await engine.images.pull(f"127.0.0.1:{port}/d/app:1", platform="linux/s390x", progress=lambda _: None)

    asyncio.run(run())


def test_mirror(pushed: tuple[int, str], tmp_path: Path) -> None:
    port, image_id = pushed

    async def run() -> None:
        dead = free_port()
        engine = Engine(tmp_path, {"docker.io": [f"http://127.0.0.1:{dead}", f"http://127.0.0.1:{port}"]})
        assert await engine.pull("mirrored:1") == image_id
        assert engine.images.resolve("mirrored:1").repo_tags == ("mirrored:1",)

    asyncio.run(run())


def test_broken_connection_is_resumed(pushed: tuple[int, str], tmp_path: Path) -> None:
    port, image_id = pushed

    async def run() -> None:
        async with Proxy(port, cut=700_000, cuts=2) as proxy:
            engine = Engine(tmp_path)
            assert await engine.pull(f"127.0.0.1:{proxy.port}/d/app:1") == image_id
            assert proxy.done == 2
            assert [text.partition("=")[2] for text in proxy.ranges] == ["700000-", "1400000-"]
            assert "Retrying in 1 second" in engine.statuses()

    asyncio.run(run())


def test_corrupt_layer_is_refused(pushed: tuple[int, str], tmp_path: Path) -> None:
    port, image_id = pushed

    async def run() -> None:
        async with Proxy(port, corrupt=True) as proxy:
            engine = Engine(tmp_path)
            with pytest.raises(SystemFailure, match=r"verification failed for digest sha256:|failed to register layer"):
                await engine.pull(f"127.0.0.1:{proxy.port}/d/app:1")
            with pytest.raises(NotFound):
                engine.images.resolve(image_id)
            assert engine.leftovers() == []

    asyncio.run(run())


def test_cancelled_pull_leaves_what_can_be_resumed(pushed: tuple[int, str], tmp_path: Path) -> None:
    port, image_id = pushed

    async def run() -> None:
        async with Proxy(port, cut=700_000, cuts=1) as proxy:
            engine = Engine(tmp_path)
            task = asyncio.create_task(engine.pull(f"127.0.0.1:{proxy.port}/d/app:1"))
            while "Retrying in 1 second" not in engine.statuses():  # noqa: ASYNC110 - a list, not an event
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert engine.leftovers() == []
            assert engine.images.store.ids() == []
            engine.store.close()
            again = Engine(tmp_path)
            await again.snapshots.start()
            await again.images.start()
            assert await again.pull(f"127.0.0.1:{proxy.port}/d/app:1") == image_id
            assert any("700000-" in text for text in proxy.ranges)

    asyncio.run(run())


def test_two_pulls_share_a_download(pushed: tuple[int, str], tmp_path: Path) -> None:
    port, image_id = pushed

    async def run() -> None:
        engine = Engine(tmp_path)
        ref = f"127.0.0.1:{port}/d/app:1"
        both: list[dict[str, Any]] = []
        found = await asyncio.gather(engine.images.pull(ref, progress=both.append),
                                     engine.images.pull(ref, progress=both.append))
        assert {record.id for record in found} == {image_id}
        assert len(os.listdir(tmp_path / "snapshots/layers")) == 2
        assert engine.leftovers() == []

    asyncio.run(run())


def test_save_and_load(tmp_path: Path) -> None:
    async def run() -> None:
        first = Engine(tmp_path / "a")
        image_id = await first.make("app:1", "app:2")
        archive = tmp_path / "saved.tar"
        with open(archive, "wb") as file:
            async for piece in first.images.save(["app"]):
                file.write(piece)
        with tarfile.open(archive) as tar:
            names = tar.getnames()
            assert {"manifest.json", "index.json", "oci-layout", "repositories"} <= set(names)
            config = tar.extractfile("blobs/sha256/" + image_id[7:])
            assert config is not None
        second = Engine(tmp_path / "b")

        async def data() -> AsyncIterator[bytes]:
            yield archive.read_bytes()

        lines: list[dict[str, Any]] = []
        await second.images.load(data(), progress=lines.append, quiet=False)
        loaded = [line["stream"] for line in lines if "stream" in line]
        assert loaded == ["Loaded image: app:1\n", "Loaded image: app:2\n"]
        assert second.images.resolve("app:2").id == image_id
        assert second.images.resolve("app:1").size == first.images.resolve("app:1").size
        assert second.leftovers() == []

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    asyncio.run(run())


def test_kept_while_in_use(tmp_path: Path) -> None:
    from solva.errors import Conflict

    async def run() -> None:
        engine = Engine(tmp_path)
        image_id = await engine.make("app:1")
        engine.images.in_use = lambda wanted: ["c" * 64] if wanted == image_id else []
        with pytest.raises(Conflict, match=r'^conflict: unable to remove repository reference "app:1" \(must force\) - '
                                           f"container {'c' * 12} is using its referenced image {image_id[7:19]}$"):
            await engine.images.remove("app:1")
        with pytest.raises(Conflict, match=r"\(must be forced\) - image is being used by stopped container"):
            await engine.images.remove(image_id)
        assert (await engine.images.prune({"dangling": ["false"]}))[0] == []
        engine.images.in_use = lambda _: []
        await engine.images.tag("app:1", "other/app", "x")
        with pytest.raises(Conflict, match="image is referenced in multiple repositories"):
            await engine.images.remove(image_id)
        rows, freed = await engine.images.prune({"dangling": ["false"]})
        assert {"Deleted": image_id} in rows
        assert freed == len(PLAIN) + 1

    asyncio.run(run())
