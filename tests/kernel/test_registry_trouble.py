"""Registries as they are in the world: with passwords, with limits, in trouble, and some that lie. In front of Debian's
docker-registry stands a server of the test that answers for it where a rule says so."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from solva.errors import NotFound, SolvaError, SystemFailure, Unauthorized
from solva.images.upload import PART
from solva.registry import client as client_module
from solva.registry.errors import seconds_of
from support.images import Engine, docker_registry

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chroot, mount"),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed"),
]
Answer = tuple[int, dict[str, str], bytes]
Rule = Callable[[str, str, dict[str, str]], "Answer | str | None"]


class Front:
    """A relay to the registry. ``rule(method, path, headers)`` gives an answer of its own, "cut" to end the connection
    without one, "half" to send half of the real answer, or None to let it pass. ``seen`` are all requests."""

    def __init__(self, port: int, rule: Rule) -> None:
        self._upstream = port
        self._rule = rule
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"\x16":      # a TLS greeting
                    return
                head = first + await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:] if line}
                self.seen.append((method, path, headers))
                length = int(headers.get("content-length", "0"))
                body = await reader.readexactly(length)
                answer = self._rule(method, path, headers)
                if answer == "cut":
                    return
                raw = await self._real(head, body, method) if answer is None or answer == "half" else _written(answer)
                writer.write(raw[:len(raw) // 2] if answer == "half" else raw)
                await writer.drain()
                if answer == "half":
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _real(self, head: bytes, body: bytes, method: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            return answer + (b"" if method == "HEAD" else await reader.readexactly(length))
        finally:
            writer.close()


def _written(answer: Any) -> bytes:
    status, headers, body = answer
    rows = {"Content-Length": str(len(body)), **headers}
    return (f"HTTP/1.1 {status} X\r\n" + "".join(f"{key}: {value}\r\n" for key, value in rows.items())
            + "\r\n").encode() + body


@asynccontextmanager
async def front(port: int, rule: Rule) -> AsyncIterator[Front]:
    made = Front(port, rule)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """With d/app:1 in it."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as port:
        async def push() -> None:
            engine = Engine(tmp_path_factory.mktemp("pusher"))
            await engine.make(f"127.0.0.1:{port}/d/app:1")
            await engine.images.push(f"127.0.0.1:{port}/d/app", tag="1", platform="", auth=None,
                                     progress=engine.lines.append)
        asyncio.run(push())
        yield port


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of hundredths of seconds instead of seconds."""
    monkeypatch.setattr(client_module.Repository.__init__, "__kwdefaults__",
                        {**client_module.Repository.__init__.__kwdefaults__, "pause": 0.01})


def times(count: int, match: str, answer: Any, method: str = "") -> Rule:
    """``answer`` to the first ``count`` requests whose path has ``match`` in it."""
    left = [count]

    def rule(how: str, path: str, headers: dict[str, str]) -> Any:
        if match in path and left[0] and method in ("", how):
            left[0] -= 1
            return answer
        return None
    return rule


@pytest.mark.parametrize(("match", "answer"), [
    ("/manifests/", (429, {"Retry-After": "0"}, b"")), ("/manifests/", (503, {}, b"<html>")),
    ("/blobs/", (429, {}, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}')),
    ("/blobs/", (502, {}, b"bad gateway")), ("/blobs/", "cut"), ("/blobs/", "half"),
])
def test_passing_trouble_is_waited_out_and_said(registry: int, tmp_path: Path, match: str, answer: Any) -> None:
    async def run() -> None:
        async with front(registry, times(2, match, answer)) as there:
            engine = Engine(tmp_path)
            await engine.pull(f"127.0.0.1:{there.port}/d/app:1")
            if not isinstance(answer, str):
                assert any(status.startswith("Retrying in") for status in engine.statuses())
            assert engine.leftovers() == []
    asyncio.run(run())


def test_a_limit_that_stays_is_told(registry: int, tmp_path: Path) -> None:
    async def run() -> None:
        rule = times(99, "/manifests/", (429, {}, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "You have '
                                                b'reached your pull rate limit."}]}'))
        async with front(registry, rule) as there:
            with pytest.raises(SystemFailure, match=r"toomanyrequests: You have reached your pull rate limit\."):
                await Engine(tmp_path).pull(f"127.0.0.1:{there.port}/d/app:1")
            assert len([path for _, path, _ in there.seen if "/manifests/" in path]) == 5
    asyncio.run(run())


def test_the_wait_is_as_long_as_asked_for() -> None:
    assert seconds_of("7") == 7
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_of("soon") == 0
    assert seconds_of("Wed, 21 Oct 2065 07:28:00 GMT") > 0


@pytest.mark.parametrize("answer", [
    (200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, b"{"),
    (200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, b"[]"),
    (200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, b'{"schemaVersion": 2, "layers": 5}'),
    (200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"},
     b'{"schemaVersion": 2, "config": {"digest": "../../etc/passwd", "size": 1}, "layers": []}'),
    (200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"},
     b'{"schemaVersion": 2, "config": {"digest": "sha256:' + b"0" * 64 + b'", "size": -1}, "layers": []}'),
    (200, {"Content-Type": "text/html"}, b"<html>welcome"), (200, {}, b""), (204, {}, b""),
    (301, {"Location": "ftp://127.0.0.1/x"}, b""), (302, {"Location": "/v2/d/app/manifests/1"}, b""),
    (418, {}, b"\xff\xfe"), (200, {"Content-Length": "99999999999"}, b"{}"), (200, {"Content-Length": "-5"}, b"{}"),
    (200, {"Transfer-Encoding": "chunked"}, b"zz\r\n"),
])
def test_lies_about_a_manifest(registry: int, tmp_path: Path, answer: Answer) -> None:
    async def run() -> None:
        async with front(registry, times(99, "/manifests/", answer)) as there:
            engine = Engine(tmp_path)
            with pytest.raises(SolvaError) as caught:
                await asyncio.wait_for(engine.pull(f"127.0.0.1:{there.port}/d/app:1"), 20)
            assert "Traceback" not in str(caught.value)
            assert engine.images.store.ids() == []
            assert engine.leftovers() == []
    asyncio.run(run())


@pytest.mark.parametrize("body", [b"", b"x", b"\x1f\x8b" + b"\0" * 40, os.urandom(3000)])
def test_lies_about_layers(registry: int, tmp_path: Path, body: bytes) -> None:
    async def run() -> None:
        async with front(registry, times(99, "/blobs/", (200, {}, body))) as there:
            engine = Engine(tmp_path)
            with pytest.raises(SolvaError):
                await asyncio.wait_for(engine.pull(f"127.0.0.1:{there.port}/d/app:1"), 20)
            assert engine.images.store.ids() == []
            assert engine.leftovers() == []
    asyncio.run(run())


def test_credentials_do_not_follow_to_another_host(registry: int, tmp_path: Path) -> None:
    """Blobs are often elsewhere; whoever has them does not need the password."""
    async def run() -> None:
        async with front(registry, lambda *_: None) as elsewhere:
            def rule(method: str, path: str, headers: dict[str, str]) -> Any:
                if "authorization" not in headers:
                    return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
                if "/blobs/" in path and method == "GET":
                    return 307, {"Location": f"http://localhost:{elsewhere.port}{path}"}, b""
                return None
            async with front(registry, rule) as there:
                engine = Engine(tmp_path)
                await engine.images.pull_request(
                    f"127.0.0.1:{there.port}/d/app:1", every_tag=False, platform="",
                    auth={"username": "u", "password": "p"}, progress=engine.lines.append)
                assert elsewhere.seen
                assert all("authorization" not in headers for _, _, headers in elsewhere.seen)
    asyncio.run(run())


def test_tokens(registry: int, tmp_path: Path) -> None:
    """A bearer token for just what is done, asked for with the password; refreshed when it is refused."""
    asked: list[str] = []

    async def run() -> None:
        def rule(method: str, path: str, headers: dict[str, str]) -> Any:
            if path.startswith("/token"):
                asked.append(path)
                assert headers["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
                return 200, {}, json.dumps({"token": "good"}).encode()
            if headers.get("authorization") != "Bearer good":
                realm = f"http://127.0.0.1:{there.port}/token"
                return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="reg"'}, b""
            return None
        async with front(registry, rule) as there:
            engine = Engine(tmp_path)
            await engine.images.pull_request(f"127.0.0.1:{there.port}/d/app:1", every_tag=False, platform="",
                                             auth={"username": "u", "password": "p"}, progress=engine.lines.append)
    asyncio.run(run())
    assert asked == ["/token?service=reg&account=u&scope=repository%3Ad%2Fapp%3Apull"]


def test_passwords(tmp_path: Path) -> None:
    """The real registry with htpasswd."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    hashed = _bcrypt("secret")
    (tmp_path / "htpasswd").write_text(f"me:{hashed}\n")
    section = f"auth: {{htpasswd: {{realm: x, path: {tmp_path}/htpasswd}}}}\n"
    with docker_registry(tmp_path / "r", more=section) as port:
        async def run() -> None:
            engine = Engine(tmp_path / "e")
            name = f"127.0.0.1:{port}/p/app"
            await engine.make(f"{name}:1")
            for auth in (None, {"username": "me", "password": "wrong"}):
                with pytest.raises(Unauthorized):
                    await engine.images.push(name, tag="1", platform="", auth=auth, progress=engine.lines.append)
            good = {"username": "me", "password": "secret"}
            await engine.images.push(name, tag="1", platform="", auth=good, progress=engine.lines.append)
            other = Engine(tmp_path / "o")
            with pytest.raises(NotFound, match="pull access denied for"):
                await other.pull(f"{name}:1")
            await other.images.pull_request(f"{name}:1", every_tag=False, platform="", auth=good,
                                            progress=other.lines.append)
        asyncio.run(run())


def _bcrypt(password: str) -> str:
    crypt = pytest.importorskip("crypt", reason="no crypt(3) here to make a bcrypt hash")
    hashed = crypt.crypt(password, "$2y$05$abcdefghijklmnopqrstuu")
    if not hashed or not hashed.startswith("$2y$"):
        pytest.skip("this crypt(3) has no bcrypt")
    return str(hashed)


def test_a_push_goes_on_where_it_broke(registry: int, tmp_path: Path) -> None:
    """A large layer is sent in parts; a part that is lost is sent again, those before it are not."""
    async def run() -> None:
        async with front(registry, times(1, "uploads", "cut", "PATCH")) as there:
            engine = Engine(tmp_path)
            name = f"127.0.0.1:{there.port}/big"
            await engine.snapshots.prepare("big", (), init=False)
            (engine.snapshots.upper("big") / "file").write_bytes(os.urandom(PART * 2))
            layer = await engine.snapshots.commit("big", keep=False)
            config = {"architecture": "amd64", "os": "linux", "config": {}}
            await engine.images.create(config, [layer], "", [f"{name}:1"])
            await engine.images.push(name, tag="1", platform="", auth=None, progress=engine.lines.append)
            parts = [headers["content-range"] for method, _, headers in there.seen if method == "PATCH"]
            assert len(parts) == 4, parts
            assert parts[0] == parts[1] == f"0-{PART - 1}"
            other = Engine(tmp_path / "other")
            await other.pull(f"127.0.0.1:{registry}/big:1")
    asyncio.run(run())


def test_a_certificate_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry behind a private authority is trusted by certs.d, refused without."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:reg.test", "-keyout", str(tmp_path / "key"), "-out",
                    str(tmp_path / "crt")], check=True, capture_output=True)
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real(
        "127.0.0.1" if host == "reg.test" else host, *rest, **more))
    tls = f", tls: {{certificate: {tmp_path}/crt, key: {tmp_path}/key}}"
    with docker_registry(tmp_path / "r", http=tls) as port:
        async def run() -> None:
            pusher = Engine(tmp_path / "a")
            await pusher.make(f"127.0.0.1:{port}/c/app:1")      # loopback is spoken to without verifying
            await pusher.images.push(f"127.0.0.1:{port}/c/app", tag="1", platform="", auth=None,
                                     progress=pusher.lines.append)
            from solva.registry import tls as module

            engine = Engine(tmp_path / "b")
            with pytest.raises(SystemFailure, match="certificate"):
                await engine.pull(f"reg.test:{port}/c/app:1")
            place = tmp_path / "certs.d" / f"reg.test:{port}"
            place.mkdir(parents=True)
            shutil.copy(tmp_path / "crt", place / "ca.crt")
            monkeypatch.setattr(module.TlsSettings.__init__, "__defaults__", ((str(tmp_path / "certs.d"),),))
            await engine.pull(f"reg.test:{port}/c/app:1")
        asyncio.run(run())


def test_nobody_there(tmp_path: Path) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SystemFailure, match="connection refused"):
        asyncio.run(Engine(tmp_path).pull(f"127.0.0.1:{port}/x:1"))
