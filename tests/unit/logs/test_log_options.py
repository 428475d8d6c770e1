"""Log drivers' options, tags, attributes and what is sent."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from solva.errors import InvalidParameter
from solva.logs import options
from solva.logs.forward import Line
from solva.logs.journald import Journald, field
from solva.logs.syslog import Syslog

WHOSE = options.Subject("0123456789ab" + "0" * 52, "web", "busybox:1", "sha256:fedcba987654" + "0" * 52,
                        {"team": "a b", "other": "x"}, ("MODE=fast", "SECRET=s"), "sh -c true")
LINE = Line("2026-03-04T05:06:07.123456789+00:00", 1, b"hello", True)


@pytest.mark.parametrize(("driver", "config", "message"), [
    ("nosuch", {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
    ("", {"nosuch": "1"}, "unknown log opt 'nosuch' for json-file log driver"),
    ("journald", {"max-size": "1"}, "unknown log opt 'max-size' for journald log driver"),
    ("syslog", {"syslog-address": "http://x"}, "unsupported scheme: 'http'"),
    ("syslog", {"syslog-facility": "nosuch"}, "invalid syslog facility"),
    ("syslog", {"syslog-format": "x"}, "Invalid syslog format"),
])
def test_what_is_refused(driver: str, config: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        options.check(driver, config)
    assert str(caught.value) == message


def test_how_much_is_kept() -> None:
    assert options.files("json-file", {}) == options.Files(0, 1, False)
    assert options.files("json-file", {"max-size": "10m", "max-file": "3", "compress": "true"}) == options.Files(
        10_000_000, 3, True)
    assert options.files("local", {}) == options.Files(20_000_000, 5, True)
    for config, message in (({"max-file": "0"}, "cannot be less than 1"), ({"max-size": "x"}, "invalid size: 'x'"),
                            ({"compress": "true"}, "compress cannot be true"), ({"max-file": "x"}, "strconv.Atoi")):
        with pytest.raises(InvalidParameter, match=message):
            options.files("json-file", config)


def test_tags_and_attributes() -> None:
    assert options.tag({}, WHOSE, "{{.ID}}") == "0123456789ab"
    assert options.tag({"tag": "{{.ImageName}}/{{ .Name }}/{{.ImageID}}"}, WHOSE, "") == "busybox:1/web/fedcba987654"
    with pytest.raises(InvalidParameter):
        options.tag({"tag": "{{.Nosuch}}"}, WHOSE, "")
    assert options.attributes({"labels": "team,none", "env-regex": "^MO"}, WHOSE) == {"team": "a b", "MODE": "fast"}
    assert field("com.example/a-b") == "COM_EXAMPLE_A_B"
    assert field("__x") == "X"


def received(config: dict[str, str], kind: int) -> bytes:
    async def main() -> bytes:
        with socket.socket(socket.AF_INET, kind) as server:
            server.bind(("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                server.listen()
            scheme = "udp" if kind == socket.SOCK_DGRAM else "tcp"
            sink = Syslog({"syslog-address": f"{scheme}://127.0.0.1:{server.getsockname()[1]}", **config}, "web")
            await sink.send([LINE])
            server.settimeout(20)
            try:
                if kind == socket.SOCK_DGRAM:
                    return server.recv(4096)
                connection, _ = server.accept()
                with connection:
                    return connection.recv(4096)
            finally:
                sink.close()
    return asyncio.run(main())


def test_syslog_over_udp_and_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    assert received({}, socket.SOCK_DGRAM).startswith(b"<30>Mar  4 05:06:07 web[")
    assert received({}, socket.SOCK_DGRAM).endswith(b"]: hello\n")
    host = socket.gethostname().encode()
    text = received({"syslog-format": "rfc5424micro", "syslog-facility": "local3"}, socket.SOCK_STREAM)
    assert text.startswith(b"<158>1 2026-03-04T05:06:07.123456Z " + host + b" web ")
    assert received({"syslog-format": "rfc3164"}, socket.SOCK_STREAM).startswith(b"<30>Mar  4 05:06:07 " + host)


def test_journal_entries(tmp_path: Path) -> None:
    place = tmp_path / "journal"

    async def main() -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(place))
            sink = Journald(WHOSE, "web", {"team": "a\nb"}, str(place))
            await sink.send([LINE])
            sink.close()
            return server.recv(65536)

    entry = asyncio.run(main())
    for wanted in (b"CONTAINER_NAME=web\n", b"PRIORITY=6\n", b"MESSAGE=hello\n", b"IMAGE_NAME=busybox:1\n",
                   b"SYSLOG_IDENTIFIER=web\n", b"CONTAINER_LOG_ORDINAL=1\n", b"TEAM\n\x03\0\0\0\0\0\0\0a\nb\n"):
        assert wanted in entry, entry
