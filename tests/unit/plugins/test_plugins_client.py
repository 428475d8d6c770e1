"""The client of plugins, against plugins that behave and against those that do not: bounded, and with an error."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solva.plugins.client import Client, Nothing
from solva.plugins.discovery import Location, find
from solva.plugins.errors import MethodMissing, PluginAway, PluginError, PluginSilent
from solva.plugins.finder import NETWORK, VOLUME, Plugins, Settings
from solva.plugins.network import Answer, CreatedEndpoint, Joined
from support.fakeplugin import FakePlugin, capable, ok, served


def at(path: Path, timeout: float = 5) -> Client:
    return Client(Location("p", f"unix://{path}", str(path)), timeout)


def ask(tmp_path: Path, answer: Any, kind: type[Any] = Answer, request: Any = None, timeout: float = 5) -> Any:
    async def body() -> Any:
        async with served(FakePlugin(M=answer), tmp_path / "s"):
            return await at(tmp_path / "s", timeout).call("M", request, kind)

    return asyncio.run(body())


def test_what_is_sent(tmp_path: Path) -> None:
    async def body() -> None:
        async with served(FakePlugin(M={}), tmp_path / "s") as plugin:
            client = at(tmp_path / "s")
            await client.call("M", {"A": [1]}, Nothing)
            await client.call("M", None, Nothing)
            assert plugin.calls == [("M", {"A": [1]}), ("M", None)]

    asyncio.run(body())


@pytest.mark.parametrize("answer", [
    ok({"Gateway": "10.0.0.1", "StaticRoutes": None, "InterfaceName": {"SrcName": "v"}}),
    ok({"gateway": "10.0.0.1", "INTERFACENAME": {"srcname": "v"}, "unknown": [1]}),
    b"HTTP/1.0 200 OK\r\n\r\n" + b'{"Gateway": "10.0.0.1", "InterfaceName": {"SrcName": "v"}}',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'19\r\n{"Gateway": "10.0.0.1", "\r\n21\r\nInterfaceName": {"SrcName": "v"}}\r\n0\r\n\r\n',
    ok({"Gateway": "10.0.0.1", "InterfaceName": {"SrcName": "v"}}) + b"and more",
], ids=["null", "case", "until-close", "chunked", "trailing"])
def test_what_is_understood(tmp_path: Path, answer: bytes) -> None:
    joined = ask(tmp_path, answer, Joined)
    assert (joined.Gateway, joined.InterfaceName.SrcName, joined.StaticRoutes) == ("10.0.0.1", "v", [])


@pytest.mark.parametrize(("answer", "kind", "text"), [
    (ok({"Err": "no room"}, "500 Internal Server Error"), PluginError, r"^M: no room$"),
    (ok({"Error": "no room"}, "400 Bad"), PluginError, r"^M: no room$"),
    (b"HTTP/1.1 500 X\r\nContent-Length: 6\r\n\r\npl\x1bain", PluginError, r"^M: pl ain$"),
    (b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", PluginError, r"^M: HTTP status 500$"),
    (b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", MethodMissing, r"^M: not found$"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk", PluginError, r"answered M with 'junk', which is not what"),
    (ok([1]), PluginError, r"Expected `object`, got `array`"),
    (ok({"Gateway": 5}), PluginError, r"Expected `str`, got `int` - at `\$.Gateway`"),
    (ok({"StaticRoutes": {"Destination": ""}}), PluginError, r"Expected `array`"),
    (b"SSH-2.0-OpenSSH\r\n", PluginError, r"with what is not HTTP"),
    (b"", PluginError, r"hung up without an answer to M"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", PluginError, r"broke off in the middle of its answer to M"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, PluginError, r"more than 4 MB"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (5 << 20), PluginError, r"more than 4 MB"),
    (ok({"Gateway": "x"})[:-1] + b"[" * 100_000, PluginError, r"which is not what"),
])
def test_what_is_wrong(tmp_path: Path, answer: bytes, kind: type[Exception], text: str) -> None:
    if b"[[" in answer:
        answer = b"HTTP/1.1 200 OK\r\n\r\n" + b'{"StaticRoutes":' + b"[" * 100_000
    with pytest.raises(kind, match=text):
        ask(tmp_path, answer, Joined)


def test_silence_is_bounded(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(PluginSilent, match=r"did not answer M within 0.2 seconds"):
        ask(tmp_path, None, timeout=0.2)
    assert time.monotonic() - start < 20


def test_a_drip_is_bounded(tmp_path: Path) -> None:
    """The limit is for the whole answer, not for each piece."""
    async def body() -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            except ConnectionError:
                writer.close()

        server = await asyncio.start_unix_server(drip, tmp_path / "s")
        with pytest.raises(PluginSilent):
            await at(tmp_path / "s", 0.3).call("M", None, Answer)
        server.close()

    asyncio.run(body())


def test_nobody_there(tmp_path: Path) -> None:
    async def body() -> None:
        client = at(tmp_path / "s")
        with pytest.raises(PluginAway, match=r"cannot be reached: no such file or directory; is it running\?"):
            await client.call("M", None, Answer, patient=False)
        async with served(FakePlugin(M={}), tmp_path / "s"):
            pass      # the socket stays, nobody listens
        with pytest.raises(PluginAway, match=r"connection refused"):
            await client.call("M", None, Answer, patient=False)

    asyncio.run(body())


def test_a_restart_is_waited_for(tmp_path: Path) -> None:
    async def body() -> None:
        call = asyncio.create_task(at(tmp_path / "s").call("M", None, Answer))
        await asyncio.sleep(0.1)
        async with served(FakePlugin(M={}), tmp_path / "s"):
            await call

    asyncio.run(body())


def test_tls(tmp_path: Path) -> None:
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
           "-days", "2", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost",
           "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)

    async def body() -> None:
        server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_side.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        server_side.verify_mode = ssl.CERT_REQUIRED      # the client shows a certificate, too
        server_side.load_verify_locations(tmp_path / "cert.pem")
        plugin = FakePlugin(M={"Gateway": "10.0.0.1"})
        server = await asyncio.start_server(plugin.serve, "127.0.0.1", 0, ssl=server_side)
        port = server.sockets[0].getsockname()[1]
        own = {"CAFile": str(tmp_path / "cert.pem"), "CertFile": str(tmp_path / "cert.pem"),
               "KeyFile": str(tmp_path / "key.pem")}
        for name, scheme, tls in (("good", "https", own), ("tcp", "tcp", own),
                                  ("bad", "https", {**own, "CAFile": "/etc/hostname"}),
                                  ("anon", "https", {"CAFile": own["CAFile"]})):
            text = json.dumps({"Addr": f"{scheme}://localhost:{port}", "TLSConfig": tls})
            (tmp_path / f"{name}.json").write_text(text)
            location = find(name, [str(tmp_path)])
            assert location is not None
            if name in ("good", "tcp"):
                assert (await Client(location, 5).call("M", None, Joined)).Gateway == "10.0.0.1"
            else:
                with pytest.raises(PluginError):
                    await Client(location, 5).call("M", None, Joined, patient=False)
        server.close()

    asyncio.run(body())


def test_activation(tmp_path: Path) -> None:
    """Once, until the plugin is started anew; and only for what it implements."""
    async def body() -> None:
        plugins = Plugins(Settings((str(tmp_path),), 5))
        assert await plugins.get("p", NETWORK) is None
        for round_ in (1, 2):
            fake = FakePlugin(**{"Plugin.Activate": capable(VOLUME, "authz")})
            async with served(fake, tmp_path / "p.sock") as plugin:
                assert await plugins.get("p", VOLUME) is not None
                assert await plugins.get("p", VOLUME) is not None
                assert plugin.methods() == ["Plugin.Activate"], round_
                with pytest.raises(PluginError, match=r'^plugin "p" does not implement NetworkDriver; it implements '
                                                      r"VolumeDriver, authz$"):
                    await plugins.get("p", NETWORK)
            assert plugins.active(VOLUME) == ["p"]
            (tmp_path / "p.sock").unlink()
            assert plugins.active(VOLUME) == []

    asyncio.run(body())


def test_all_of_a_kind(tmp_path: Path) -> None:
    async def body() -> None:
        plugins = Plugins(Settings((str(tmp_path),), 0.3))
        good = FakePlugin(**{"Plugin.Activate": capable(VOLUME)})
        other = FakePlugin(**{"Plugin.Activate": capable(NETWORK)})
        hangs = FakePlugin(**{"Plugin.Activate": None})
        async with served(good, tmp_path / "good.sock"), served(other, tmp_path / "other.sock"), \
                served(hangs, tmp_path / "hangs.sock"):
            (tmp_path / "broken.spec").write_text("nonsense")
            found, problems = await plugins.all(VOLUME)
            assert [client.name for client in found] == ["good"]
            assert len(problems) == 2
            assert "is no address" in problems[0]
            assert "did not answer Plugin.Activate within 0.3 seconds" in problems[1]
            _, again = await plugins.all(VOLUME)
            assert "has not answered a short while ago" in again[1]
            assert len(hangs.calls) == 1

    asyncio.run(body())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["Err", "Interface", "InterfaceName", "Address", "MacAddress", "SrcName", "DstPrefix",
                         "Gateway", "StaticRoutes", "Destination", "RouteType", "NextHop", "x"]) | st.text(max_size=5),
        inner, max_size=5),
    max_leaves=12)


@given(answer=st.one_of(
    st.binary(max_size=300), st.binary(max_size=200).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail),
    st.tuples(st.integers(100, 999), st.binary(max_size=100)).map(
        lambda pair: b"HTTP/1.1 %d X\r\n\r\n" % pair[0] + pair[1]),
    json_values.map(ok),
    json_values.map(lambda value: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + json.dumps(value).encode())))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answer_is_understood_or_refused(tmp_path: Path, answer: bytes) -> None:
    async def body() -> None:
        async with served(FakePlugin(M=answer), tmp_path / "s"):
            for kind in (Joined, CreatedEndpoint):
                outcome = await asyncio.gather(at(tmp_path / "s").call("M", None, kind, patient=False),
                                               return_exceptions=True)
                if isinstance(outcome[0], PluginError):
                    assert 0 < len(str(outcome[0])) < 2000
                else:
                    assert isinstance(outcome[0], kind), outcome
                    msgspec.convert(msgspec.to_builtins(outcome[0]), kind)

    asyncio.run(body())

