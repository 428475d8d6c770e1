"""The etcd client: addresses, servers that fail, servers that talk nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solva.cluster import etcd
from solva.cluster.etcd import Etcd, EtcdError, HistoryLost, LeaseGone, Unreachable
from solva.cluster.http import HttpError

Answer = bytes | None
HEADER = {"header": {"revision": "7"}}


def test_urls() -> None:
    assert etcd.parse_url("etcd://one,two:1,[2001:db8::1]:5") == (("one", 2379), ("two", 1), ("2001:db8::1", 5))
    for bad in ("http://one:1", "one:2379", "etcd://", "etcd://one:x", "etcd://one:70000", "etcd://u:p@one:1"):
        with pytest.raises(ValueError, match=r"etcd|HOST:PORT"):
            etcd.parse_url(bad)


def whole(status: int, body: object) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def chunked(*lines: object) -> bytes:
    out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for line in lines:
        data = json.dumps(line).encode() + b"\n"
        out += f"{len(data):x}\r\n".encode() + data + b"\r\n"
    return out + b"0\r\n\r\n"


def play(answers: list[Answer], body: Callable[[Etcd], Awaitable[None]]) -> None:
    """A server a given answer, one request each; None: it hangs up."""
    async def main() -> None:
        servers = []
        for answer in answers:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                            answer: Answer = answer) -> None:
                try:
                    while head := await reader.readuntil(b"\r\n\r\n"):
                        await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
                        if answer is None:
                            break
                        writer.write(answer)
                        await writer.drain()
                except (OSError, asyncio.IncompleteReadError):
                    pass
                finally:
                    writer.close()

            servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        client = Etcd([server.sockets[0].getsockname()[:2] for server in servers], seconds=5)
        try:
            await body(client)
        finally:
            client.close()
            for server in servers:
                server.close()

    asyncio.run(main())


def test_another_server_answers_when_one_does_not() -> None:
    async def body(client: Etcd) -> None:
        for _ in range(3):
            assert (await client.snapshot("/x/")).revision == 7

    play([None, whole(503, {"error": "etcdserver: no leader", "code": 14}), whole(200, HEADER)], body)


def test_unreachable_names_every_server_and_why() -> None:
    async def body(client: Etcd) -> None:
        with pytest.raises(Unreachable, match=r"127.0.0.1:\d+: the connection was closed; 127.0.0.1:\d+: no leader"):
            await client.get("/x")

    play([None, whole(503, {"error": "etcdserver: no leader", "code": 14})], body)


def test_what_etcd_refuses_is_no_reason_to_ask_another() -> None:
    async def body(client: Etcd) -> None:
        with pytest.raises(LeaseGone):
            await client.transact([], [etcd.put("/x", "", 5)])

    play([whole(404, {"error": "etcdserver: requested lease not found", "code": 5}), None], body)


def test_a_watch_tells_when_it_cannot_go_on() -> None:
    async def compacted(client: Etcd) -> None:
        with pytest.raises(HistoryLost, match="compacted at revision 9"):
            async for _ in client.watch("/x/", 3):
                pass

    async def younger(client: Etcd) -> None:
        with pytest.raises(HistoryLost, match="at revision 7, it was at 20"):
            async for _ in client.watch("/x/", 21):
                pass

    async def ended(client: Etcd) -> None:
        with pytest.raises(Unreachable, match="the watch ended"):
            async for _ in client.watch("/x/", 8):
                pass

    created = {"result": {**HEADER, "created": True}}
    play([chunked(created, {"result": {"canceled": True, "compact_revision": "9"}})], compacted)
    play([chunked(created)], younger)
    play([chunked(created)], ended)


@settings(max_examples=25, deadline=None)
@given(st.one_of(
    st.binary(max_size=200), st.binary(max_size=60).map(lambda data: whole(200, data)),
    st.binary(max_size=60).map(lambda data: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) |
                 st.dictionaries(st.sampled_from(["header", "revision", "kvs", "key", "error", "responses", "result"]),
                                 inner, max_size=3), max_leaves=6).map(lambda data: whole(200, data))))
def test_nonsense_is_an_error_of_the_clients_own(answer: bytes) -> None:
    async def body(client: Etcd) -> None:
        for call in (client.snapshot("/x/"), client.transact([], []), client.keep_alive(3)):
            try:
                await call
            except EtcdError:
                pass

        async def follow() -> None:
            async for _ in client.watch("/x/", 1):
                pass

        try:
            async with asyncio.timeout(0.2):
                await follow()
        except (EtcdError, TimeoutError):
            pass

    play([answer + b"\r\n\r\n"], body)


@given(st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["header", "revision", "kvs", "key", "value", "error", "responses", "response_range", "result",
                         "events", "kv", "canceled", "created", "compact_revision"]), inner, max_size=4),
    max_leaves=8))
def test_answers_of_another_shape(answer: object) -> None:
    """The decoders alone, much quicker than through a server."""
    for decode in (etcd._outcome, etcd._rows, lambda found: etcd._batch(json.dumps(found).encode(), 3)):
        try:
            decode(answer)  # type: ignore[operator]
        except (*etcd._NONSENSE, EtcdError, HttpError):
            pass
