"""Containers on real crun and conmon."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kernel.container_rig import Rig, rig
from solva.api.types.container import AttachOptions, ContainerCreate, LogsOptions, decode
from solva.api.types.exec import ExecCreate, ExecStart
from solva.errors import Conflict, InvalidParameter
from solva.kernel import mount

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("crun") is None or shutil.which("conmon") is None, reason="needs crun and conmon"),
]

EVERYTHING = AttachOptions(stdin=True, stdout=True, stderr=True, stream=True)


class Stream:
    """A client's connection."""

    def __init__(self, sent: bytes = b"", hold: bool = False) -> None:
        self.input = [sent] if sent else []
        self.output = b""
        self.hold = hold
        self.closed = False

    async def read(self) -> bytes:
        if self.input:
            return self.input.pop(0)
        if self.hold:
            await asyncio.Event().wait()
        return b""

    async def write(self, data: bytes) -> None:
        self.output += data

    def close(self) -> None:
        self.closed = True


def text_of(frames: bytes) -> bytes:
    """What was written, whatever the cuts between frames."""
    text = b""
    while frames:
        length = int.from_bytes(frames[4:8], "big")
        text += frames[8:8 + length]
        frames = frames[8 + length:]
    return text


def run(test: Callable[[Rig], Awaitable[None]]) -> None:
    root = Path(tempfile.mkdtemp(prefix="solva-h-"))

    async def body() -> None:
        it = await rig(root)
        try:
            async with asyncio.timeout(40):
                await test(it)
        finally:
            await it.close()

    try:
        asyncio.run(body())
    finally:
        for place in (root / "run", root / "data"):
            while mount.umount(place, mount.MNT_DETACH):
                pass
        left = [entry.mount_point for entry in mount.mounts(root)]
        shutil.rmtree(root, ignore_errors=True)
    assert not left


def body(*words: str, host: dict[str, object] | None = None, **config: object) -> ContainerCreate:
    return decode({"Image": "busybox", "Cmd": list(words), "HostConfig": {"NetworkMode": "none", **(host or {})},
                   **config}, ContainerCreate)


async def output(it: Rig, ref: str) -> bytes:
    _, pieces = await it.service.logs(ref, LogsOptions())
    return b"".join([piece async for piece in pieces])


async def finish(it: Rig, *words: str, host: dict[str, object] | None = None, **config: object) -> tuple[int, bytes]:
    identifier, _ = await it.service.create("", body(*words, host=host, **config))
    waiting = await it.service.wait(identifier, "next-exit")
    await it.service.start(identifier)
    status = await waiting
    data = await output(it, identifier)
    await it.service.remove(identifier)
    return status["StatusCode"], data


def test_create_start_wait_logs_remove() -> None:
    async def test(it: Rig) -> None:
        identifier, warnings = await it.service.create("one", body("sh", "-c", "echo out; echo err >&2; exit 3"))
        assert warnings == []
        waiting = await it.service.wait(identifier, "next-exit")
        await it.service.start("one")
        assert (await waiting)["StatusCode"] == 3
        data = await output(it, identifier)
        assert b"\x01\0\0\0\0\0\0\x04out\n" in data
        assert b"\x02\0\0\0\0\0\0\x04err\n" in data
        state = (await it.service.inspect("one"))["State"]
        assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 3, 0)
        await it.service.remove("one")
        actions = [event.action for event in it.bus.subscribe().history]
        assert actions == ["create", "start", "die", "destroy"]
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            assert (await finish(it, "true"))[0] == 0
            times.append(time.perf_counter() - begun)
        print("create+start+wait+logs+remove:", [f"{1000 * t:.0f} ms" for t in times])
    run(test)


def test_what_the_process_sees() -> None:
    async def test(it: Rig) -> None:
        code, data = await finish(it, "sh", "-c", "id; env; hostname; cat /proc/self/status", User="ann",
                                  Env=["B=2"], Hostname="hosty")
        text = data.decode(errors="replace")
        assert code == 0, text
        assert "uid=1000(ann) gid=1000(ann) groups=1000(ann),2000(extra)" in text
        for wanted in ("A=image", "B=2", "HOME=/home/ann", "HOSTNAME=hosty", "CapBnd:\t00000000a80425fb",
                       "CapEff:\t0000000000000000", "Seccomp:\t2"):
            assert wanted in text
    run(test)


def test_failures_have_docker_words() -> None:
    async def test(it: Rig) -> None:
        for words, message, code in ((("nosuch",), 'exec: "nosuch": executable file not found in $PATH', 127),
                                     (("/nope",), "no such file or directory", 127),
                                     (("/etc",), "permission denied", 126)):
            identifier, _ = await it.service.create("", body(*words))
            with pytest.raises(InvalidParameter) as caught:
                await it.service.start(identifier)
            assert message in str(caught.value)
            state = (await it.service.inspect(identifier))["State"]
            assert (state["Status"], state["ExitCode"]) == ("created", code)
            assert not it.core.networks.live        # type: ignore[attr-defined]
    run(test)


def test_attach_before_start_loses_nothing() -> None:
    async def test(it: Rig) -> None:
        for _ in range(5):
            identifier, _ = await it.service.create("", body(
                "sh", "-c", "echo first; cat; echo last", host={"AutoRemove": True}, OpenStdin=True, StdinOnce=True))
            session = await it.service.attach(identifier, EVERYTHING)
            gone = await it.service.wait(identifier, "removed")
            stream = Stream(b"typed\n")
            pump = asyncio.ensure_future(session.run(stream))
            await it.service.start(identifier)
            await pump
            assert (await gone)["StatusCode"] == 0
            assert text_of(stream.output) == b"first\ntyped\nlast\n"
            assert stream.closed
    run(test)


def test_tty() -> None:
    async def test(it: Rig) -> None:
        identifier, _ = await it.service.create("", body(
            "sh", "-c", "stty size; cat", OpenStdin=True, Tty=True, host={"ConsoleSize": [30, 90]}))
        session = await it.service.attach(identifier, EVERYTHING)
        stream = Stream(b"hello\n\x10\x11", hold=True)
        pump = asyncio.ensure_future(session.run(stream))
        await it.service.start(identifier)
        await pump          # ends by the detach keys
        await it.service.resize(identifier, 20, 40)
        await it.service.remove(identifier, force=True)
    run(test)


def test_exec() -> None:
    async def test(it: Rig) -> None:
        identifier, _ = await it.service.create("", body("sleep", "100"))
        await it.service.start(identifier)

        async def go(stream: Stream, **options: object) -> int:
            number = await it.service.exec_create(
                identifier, ExecCreate(attach_stdout=True, attach_stderr=True, **options))      # type: ignore[arg-type]
            session = await it.service.exec_start(number, ExecStart())
            assert session is not None
            await session.run(stream)
            return int((await it.service.exec_inspect(number))["ExitCode"])

        stream = Stream(b"abc\n")
        assert await go(stream, cmd=["sh", "-c", "cat; echo bad >&2; exit 7"], attach_stdin=True) == 7
        assert b"abc\n" in stream.output
        assert b"\x02\0\0\0\0\0\0\x04bad\n" in stream.output
        missing = Stream()
        assert await go(missing, cmd=["nosuch"]) == 127
        assert b'exec: "nosuch": executable file not found in $PATH' in missing.output
        terminal = Stream()
        assert await go(terminal, cmd=["sh", "-c", "echo $B"], tty=True, env=["B=x"], console_size=[11, 22]) == 0
        assert b"x\r\n" in terminal.output
        number = await it.service.exec_create(identifier, ExecCreate(cmd=["touch", "/tmp/made"], detach=True))
        assert await it.service.exec_start(number, ExecStart(detach=True)) is None
        about = await it.service.archive_stat(identifier, "/tmp/made")
        assert about["name"] == "made"
        begun = time.perf_counter()
        await go(Stream(), cmd=["true"])
        print(f"exec true: {1000 * (time.perf_counter() - begun):.0f} ms")
    run(test)


def test_stop_deaf_and_listening() -> None:
    async def test(it: Rig) -> None:
        deaf, _ = await it.service.create("", body("sleep", "100"))
        await it.service.start(deaf)
        begun = time.monotonic()
        await it.service.stop(deaf, timeout=10)
        assert time.monotonic() - begun < 2
        assert (await it.service.inspect(deaf))["State"]["ExitCode"] == 137
        polite, _ = await it.service.create("", body("sh", "-c", "trap 'exit 5' TERM; while true; do sleep 0.1; done"))
        await it.service.start(polite)
        await asyncio.sleep(0.3)
        await it.service.stop(polite, timeout=10)
        assert (await it.service.inspect(polite))["State"]["ExitCode"] == 5
    run(test)


def test_engine_dies_and_adopts() -> None:
    root = Path(tempfile.mkdtemp(prefix="solva-h-"))

    async def scenario() -> None:
        first = await rig(root)
        stays, _ = await first.service.create("stays", body("sh", "-c", "while true; do echo tick; sleep 0.1; done"))
        ends, _ = await first.service.create("ends", body("sh", "-c", "sleep 0.4; exit 9"))
        again, _ = await first.service.create("again", body(
            "sh", "-c", "sleep 0.4", host={"RestartPolicy": {"Name": "always"}}))
        for name in (stays, ends, again):
            await first.service.start(name)
        await first.crash()
        await asyncio.sleep(0.8)
        second = await rig(root, first.core.networks)       # type: ignore[arg-type]
        try:
            state = (await second.service.inspect("stays"))["State"]
            assert state["Running"]
            assert (await second.service.inspect("ends"))["State"]["ExitCode"] == 9
            await asyncio.sleep(0.3)
            assert (await second.service.inspect("again"))["State"]["Running"]
            assert len((await output(second, "stays")).split(b"tick")) > 6
            with pytest.raises(Conflict):
                await second.service.remove("stays")
        finally:
            await second.close()

    try:
        asyncio.run(scenario())
    finally:
        for place in (root / "run", root / "data"):
            while mount.umount(place, mount.MNT_DETACH):
                pass
        shutil.rmtree(root, ignore_errors=True)
