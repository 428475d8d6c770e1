"""Directories that a client sends: what arrives, what is not sent twice, and clients that lie."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solva.build.buildkit import filesync
from solva.buildkit import wire_pb2 as wire
from solva.buildkit.fsutil import DATA, FIN, REQUEST, STAT, go_mode, permissions
from solva.errors import SolvaError

DIR, LINK = 1 << 31, 1 << 27


class Client:
    """A session whose client sends ``entries``: (path, mode, content or link)."""

    methods = frozenset((filesync.DIFF_COPY,))

    def __init__(self, entries: list[tuple[str, int, bytes]], other: Callable[[], Iterator[Any]] | None = None) -> None:
        self.entries = entries
        self.asked: list[str] = []
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._other = other

    def open(self, path: str, kind: Any, metadata: Any) -> Client:
        return self

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        return

    async def send_request(self) -> None:
        if self._other is not None:
            for packet in self._other():
                self._queue.put_nowait(packet)
            return
        for path, mode, content in self.entries:
            entry = wire.Stat(path=path, mode=mode, mod_time=1_700_000_000_000_000_000)
            if mode & LINK:
                entry.linkname = content.decode()
            elif not mode & DIR:
                entry.size = len(content)
            self._queue.put_nowait(wire.Packet(type=STAT, stat=entry))
        self._queue.put_nowait(wire.Packet(type=STAT))

    async def send_message(self, packet: Any, end: bool = False) -> None:
        if packet.type == REQUEST and self._other is None:
            path, _, content = self.entries[packet.id]
            self.asked.append(path)
            if content:
                self._queue.put_nowait(wire.Packet(type=DATA, id=packet.id, data=content))
            self._queue.put_nowait(wire.Packet(type=DATA, id=packet.id))
        elif packet.type == FIN:
            self._queue.put_nowait(wire.Packet(type=FIN))

    def __aiter__(self) -> Client:
        return self

    async def __anext__(self) -> Any:
        if self._other is not None and self._queue.empty():
            raise StopAsyncIteration
        return await self._queue.get()


def receive(client: Client, target: Path) -> None:
    asyncio.run(asyncio.wait_for(filesync.receive(client, "context", target), 10))  # type: ignore[arg-type]


def test_what_is_sent_arrives_and_is_not_asked_for_again(tmp_path: Path) -> None:
    entries = [("a", 0o644, b"first"), ("dir", DIR | 0o750, b""), ("dir/empty", 0o600, b""),
               ("dir/run", 0o755, b"x" * 100_000), ("link", LINK | 0o777, b"dir/run")]
    client = Client(entries)
    receive(client, tmp_path)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert (tmp_path / "dir/run").read_bytes() == b"x" * 100_000
    assert stat.S_IMODE((tmp_path / "dir").stat().st_mode) == 0o750
    assert os.readlink(tmp_path / "link") == "dir/run"
    assert client.asked == ["a", "dir/empty", "dir/run"]
    again = Client([("a", 0o644, b"other"), ("aa", 0o644, b"new"), ("dir", DIR | 0o750, b""),
                    ("dir/run", 0o755, b"x" * 100_000)])
    os.utime(tmp_path / "a", (1, 1))
    receive(again, tmp_path)
    assert again.asked == ["a", "aa"]
    assert sorted(os.listdir(tmp_path)) == ["a", "aa", "dir"]
    assert os.listdir(tmp_path / "dir") == ["run"]
    swapped = Client([("a", DIR | 0o755, b""), ("a/x", 0o644, b"1"), ("dir", 0o644, b"now a file")])
    receive(swapped, tmp_path)
    assert (tmp_path / "a/x").read_bytes() == b"1"
    assert (tmp_path / "dir").read_bytes() == b"now a file"


@pytest.mark.parametrize("entries", [
    [("../out", 0o644, b"x")], [("/../out", 0o644, b"x")], [("a/../../out", 0o644, b"x")],
    [("link", LINK | 0o777, b"/tmp"), ("link/out", 0o644, b"x")],
    [("d", DIR | 0o755, b""), ("d", LINK | 0o777, b"/tmp"), ("d/out", 0o644, b"x")],
    [("never/listed", 0o644, b"x")],
])
def test_nothing_is_written_outside(tmp_path: Path, entries: list[tuple[str, int, bytes]]) -> None:
    target = tmp_path / "in"
    target.mkdir()
    with pytest.raises(SolvaError):
        receive(Client(entries), target)
    assert os.listdir(tmp_path) == ["in"]
    assert not Path("/tmp/out").exists()


_packets = st.builds(
    lambda kind, path, mode, link, number, data, with_stat: wire.Packet(
        type=kind, id=number, data=data,
        **({"stat": wire.Stat(path=path, mode=mode, linkname=link)} if with_stat else {})),
    st.integers(0, 5), st.sampled_from(["a", "a/b", "..", "", "/", "../x", "b", "./a", "a//b", "\0", "x" * 300]),
    st.sampled_from([0o644, DIR | 0o755, LINK | 0o777, 1 << 25, 0xFFFFFFFF, 0]), st.sampled_from(["", "a", "../../x"]),
    st.integers(0, 4), st.binary(max_size=20), st.booleans())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_packets, max_size=12))
def test_a_lying_client_gets_an_error_or_its_files(tmp_path_factory: pytest.TempPathFactory,
                                                   packets: list[Any]) -> None:
    outer = tmp_path_factory.mktemp("lies")
    target = outer / "in"
    target.mkdir()
    try:
        receive(Client([], other=lambda: iter(packets)), target)
    except SolvaError:
        pass
    assert os.listdir(outer) == ["in"]


def test_modes_go_both_ways() -> None:
    for mode in (0o100644, 0o104755, 0o102755, 0o041777, 0o040755, 0o120777, 0o010600, 0o140600, 0o060660, 0o020666):
        assert permissions(go_mode(mode)) == stat.S_IMODE(mode)
    assert go_mode(0o040755) & DIR
    assert go_mode(0o120777) & LINK
