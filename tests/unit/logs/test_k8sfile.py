"""conmon's log format as Docker's frames."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from solva.api.framing import STDERR, STDOUT, frame
from solva.api.types.container import LogsOptions
from solva.clock import parse_rfc3339
from solva.logs import k8sfile

T1, T2, T3 = (f"2026-01-01T00:00:0{n}.000000001+00:00" for n in (1, 2, 3))
LOG = f"{T1} stdout F one\n{T2} stderr P tw\n{T2} stderr F o\n{T3} stdout F three\n"


def read(path: Path, **options: object) -> bytes:
    async def collect() -> bytes:
        pieces = k8sfile.read(path, LogsOptions(**options), tty=False)       # type: ignore[arg-type]
        return b"".join([piece async for piece in pieces])
    return asyncio.run(collect())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_text(LOG)
    return path


def test_frames_and_partial_lines(log: Path) -> None:
    assert read(log) == frame(STDOUT, b"one\n") + frame(STDERR, b"two\n") + frame(STDOUT, b"three\n")


def test_cut_lines_are_put_together_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_text(f"{T1} stdout P {'a' * 8192}\n" * 3
                    + f"{T1} stdout F end\n{T2} stdout F next\n{T3} stdout P open\n")
    assert read(path) == (frame(STDOUT, b"a" * 16384) + frame(STDOUT, b"a" * 8192 + b"end\n") + frame(STDOUT, b"next\n")
                          + frame(STDOUT, b"open"))
    assert read(path, timestamps=True).count(b"2026-01-01T00:00:01") == 1


def test_streams_times_and_windows(log: Path) -> None:
    assert read(log, stderr=False) == frame(STDOUT, b"one\n") + frame(STDOUT, b"three\n")
    assert read(log, since=parse_rfc3339(T3)) == frame(STDOUT, b"three\n")
    assert read(log, until=parse_rfc3339(T1)) == frame(STDOUT, b"one\n")
    assert read(log, stderr=False, timestamps=True).count(b"2026-01-01T00:00:01.000000001Z one\n") == 1


@pytest.mark.parametrize(("tail", "count"), [(0, 0), (1, 1), (2, 2), (3, 3), (9, 3)])
def test_tail_counts_whole_lines(log: Path, tail: int, count: int) -> None:
    assert read(log, tail=tail).count(b"\x00\x00\x00\x00\x00\x00") == count


def test_tail_over_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{T1} stdout F {n} {'x' * 200}\n" for n in range(5000)))
    assert read(path, tail=2500).count(b"xxx\n") == 2500
    assert read(path, tail=2500).split(b" ")[0].endswith(b"2500")


def test_following_ends_with_the_container(log: Path) -> None:
    async def scenario() -> bytes:
        ended = asyncio.Event()
        pieces = k8sfile.read(log, LogsOptions(follow=True, tail=0), tty=True, ended=ended)

        async def collect() -> bytes:
            return b"".join([piece async for piece in pieces])

        task = asyncio.ensure_future(collect())
        await asyncio.sleep(0.05)
        with log.open("a") as file:
            file.write(f"{T3} stdout F more\n")
        await asyncio.sleep(0.05)
        ended.set()
        return await asyncio.wait_for(task, 2)
    assert asyncio.run(scenario()) == b"more\n"
