"""The HTTP server over a real unix socket: keep-alive, bodies, streams, hijack, clients that leave."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from solva.errors import Conflict, NotFound
from solva.server.app import App
from solva.server.http import Request
from solva.server.progress import progress_stream
from solva.server.routing import Route, match

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def serve(tmp_path: Path, routes: list[Route], scenario: Callable[[Callable[[], Awaitable[Client]]], Awaitable[None]],
          ) -> None:
    """Run ``scenario`` with a function that connects to an App with ``routes``."""

    async def main() -> None:
        app = App(routes, "test")
        path = tmp_path / "s.sock"
        await app.listen_unix(path, None)
        try:
            await asyncio.wait_for(scenario(lambda: asyncio.open_unix_connection(str(path))), 10)
        finally:
            await app.close()

    asyncio.run(main())


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rows = head.strip().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, v in (row.split(": ", 1) for row in rows)}


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, headers = await read_head(reader)
    if headers.get("transfer-encoding") == "chunked":
        data = b""
        while size := int(await reader.readline(), 16):
            data += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return status, data
    return status, await reader.readexactly(int(headers.get("content-length", 0)))


async def echo(request: Request) -> None:
    request.respond(200, await request.body())


def test_two_requests_on_one_connection_and_versioned_paths(tmp_path: Path) -> None:
    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        for prefix in ("", "/v1.24", "/v1.51"):
            writer.write(f"POST {prefix}/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode())
            assert await read_answer(reader) == (200, b"hello")
        writer.write(b"GET /v1.99/echo HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body = await read_answer(reader)
        assert status == 400
        assert json.loads(body)["message"] == (
            "client version 1.99 is too new. Maximum supported API version is 1.51")
        writer.close()

    serve(tmp_path, [Route("POST", "/echo", echo)], scenario)


def test_chunked_upload_larger_than_the_buffers(tmp_path: Path) -> None:
    async def count(request: Request) -> None:
        size = 0
        async for data in request.chunks():
            size += len(data)
            await asyncio.sleep(0)
        request.respond(200, str(size).encode())

    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            writer.write(b"%x\r\n%b\r\n" % (100_000, bytes(100_000)))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert await read_answer(reader) == (200, b"10000000")
        writer.close()

    serve(tmp_path, [Route("POST", "/count", count)], scenario)


def test_errors_become_statuses_and_unknown_ones_500(tmp_path: Path) -> None:
    async def missing(_: Request) -> None:
        raise NotFound("No such container: x")

    async def conflict(_: Request) -> None:
        raise Conflict("taken")

    async def broken(_: Request) -> None:
        raise KeyError("oops")

    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        wanted = {"/missing": (404, "No such container: x"), "/conflict": (409, "taken"),
                  "/broken": (500, "KeyError: 'oops'"), "/nowhere": (404, "page not found")}
        for path, (status, message) in wanted.items():
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got, body = await read_answer(reader)
            assert (got, json.loads(body)["message"]) == (status, message)
        writer.close()

    serve(tmp_path, [Route("GET", "/missing", missing), Route("GET", "/conflict", conflict),
                     Route("GET", "/broken", broken)], scenario)


@pytest.mark.parametrize("upgrade", [True, False])
def test_hijack_both_ways_with_half_close(tmp_path: Path, upgrade: bool) -> None:
    async def attach(request: Request) -> None:
        assert await request.body() == b"{}"
        stream = await request.hijack()
        received = b""
        while data := await stream.read():
            received += data
            await stream.write(data.upper())
        await stream.write(b"|end of input after %d" % len(received))
        stream.close()

    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        asked = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
        writer.write(f"POST /attach HTTP/1.1\r\nHost: x\r\n{asked}Content-Length: 2\r\n\r\n{{}}".encode())
        status, _ = await read_head(reader)
        assert status == (101 if upgrade else 200)
        writer.write(b"some ")
        writer.write(b"words")
        writer.write_eof()
        assert await reader.read() == b"SOME WORDS|end of input after 10"
        writer.close()

    serve(tmp_path, [Route("POST", "/attach", attach, abandons=True)], scenario)


def test_refused_upgrade_leaves_the_connection_usable(tmp_path: Path) -> None:
    async def refuse(_: Request) -> None:
        raise Conflict("container is not running")

    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        for _ in range(2):
            writer.write(b"POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                         b"Content-Length: 0\r\n\r\n")
            assert (await read_answer(reader))[0] == 409
        writer.close()

    serve(tmp_path, [Route("POST", "/attach", refuse, abandons=True)], scenario)


def test_leaving_client_cancels_a_stream_but_not_a_change(tmp_path: Path) -> None:
    seen: list[str] = []
    gone = asyncio.Event()

    async def follow(request: Request) -> None:
        stream = await request.stream()
        try:
            while True:
                await stream.write(b"line\n")
                await asyncio.sleep(0.01)
        finally:
            seen.append("stream cut")
            gone.set()

    async def change(request: Request) -> None:
        await asyncio.sleep(0.1)
        seen.append("change done")
        gone.set()
        request.respond(204)

    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        for path, outcome in (("/follow", "stream cut"), ("/change", "change done")):
            gone.clear()
            reader, writer = await connect()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            if path == "/follow":
                await read_head(reader)
            else:
                await asyncio.sleep(0.02)
            writer.close()
            await asyncio.wait_for(gone.wait(), 5)
            assert seen[-1] == outcome

    serve(tmp_path, [Route("GET", "/follow", follow, abandons=True), Route("GET", "/change", change)], scenario)


def test_progress_errors_before_and_after_the_first_line(tmp_path: Path) -> None:
    async def early(request: Request) -> None:
        async def work(_: object) -> None:
            raise NotFound("manifest unknown")
        await progress_stream(request, work)

    async def late(request: Request) -> None:
        async def work(progress: Callable[[dict[str, str]], None]) -> None:
            progress({"status": "Pulling"})
            raise NotFound("layer is gone")
        await progress_stream(request, work)  # type: ignore[arg-type]

    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        status, body = await read_answer(reader)
        assert (status, json.loads(body)) == (404, {"message": "manifest unknown"})
        writer.write(b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        status, body = await read_answer(reader)
        assert status == 200
        assert [json.loads(line) for line in body.splitlines()] == [
            {"status": "Pulling"}, {"errorDetail": {"message": "layer is gone"}, "error": "layer is gone"}]
        writer.close()

    serve(tmp_path, [Route("POST", "/early", early), Route("POST", "/late", late)], scenario)


def test_garbage_is_answered_with_400_and_closed(tmp_path: Path) -> None:
    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"\x00\x01\x02 nonsense\r\n\r\n")
        status, _ = await read_answer(reader)
        assert status == 400
        assert await reader.read() == b""
        writer.close()

    serve(tmp_path, [], scenario)


def test_expect_100_continue(tmp_path: Path) -> None:
    async def scenario(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        status, _ = await read_head(reader)
        assert status == 100
        writer.write(b"ok")
        assert await read_answer(reader) == (200, b"ok")
        writer.close()

    serve(tmp_path, [Route("POST", "/echo", echo)], scenario)


@pytest.mark.parametrize(("pattern", "path", "params"), [
    ("images/{name...}/json", "images/a/b:1/json", {"name": "a/b:1"}),
    ("images/{name...}/json", "images/json", None),
    ("images/{name...}", "images/registry:5000/x/y", {"name": "registry:5000/x/y"}),
    ("containers/{name}/json", "containers/web/json", {"name": "web"}),
    ("containers/{name}/json", "containers/web/logs", None),
    ("containers/{name}", "containers/", None),
])
def test_patterns(pattern: str, path: str, params: dict[str, str] | None) -> None:
    assert match(tuple(pattern.split("/")), path.split("/")) == params
