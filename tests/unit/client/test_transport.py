"""The HTTP client against a scripted peer on a unix socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from solva.client.fastjson import dumps, loads
from solva.client.transport import EngineUnreachable, Transport, quote
from solva.errors import Conflict, InvalidParameter, NotFound, SystemFailure

Serve = Callable[..., tuple[Transport, list[bytes]]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(answer, ...)``: a transport to a peer with these answers, a connection each, and what it was asked."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{tmp_path}/s")
    listener.listen()
    asked: list[bytes] = []

    def work(answers: list[bytes]) -> None:
        for answer in answers:
            peer, _ = listener.accept()
            with peer:
                asked.append(peer.recv(1 << 16))
                peer.sendall(answer)

    def start(*answers: bytes) -> tuple[Transport, list[bytes]]:
        threading.Thread(target=work, args=(list(answers),), daemon=True).start()
        return Transport(f"unix://{tmp_path}/s"), asked

    yield start
    listener.close()


def ok(body: bytes, *, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def test_json_and_query(serve: Serve) -> None:
    api, asked = serve(ok(b'{"a": [1, "\xc3\xa9"]}'))
    value = api.json("GET", "/x y", query={"all": True, "none": None, "n": ("a", "b&"), "filters": {"k": ["v"]}})
    assert value == {"a": [1, "é"]}
    assert asked[0].split(b"\r\n")[0] == \
        b"GET /v1.51/x%20y?all=1&n=a&n=b%26&filters=%7B%22k%22%3A%5B%22v%22%5D%7D HTTP/1.1"


def test_chunked_lines_cut_anywhere(serve: Serve) -> None:
    api, _ = serve(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n9\r\n1}\n{"b":2\r\n2\r\n}\n\r\n'
                   b"0\r\n\r\n")
    with api.request("GET", "/events") as response:
        assert list(response.lines()) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(("status", "kind"), [("400 x", InvalidParameter), ("404 x", NotFound), ("409 x", Conflict),
                                              ("500 x", SystemFailure)])
def test_errors_are_rebuilt(serve: Serve, status: str, kind: type[Exception]) -> None:
    api, _ = serve(ok(b'{"message":"No such thing"}', status=status))
    with pytest.raises(kind, match="No such thing"):
        api.json("GET", "/x")


def test_a_connection_cut_in_an_answer_is_an_error(serve: Serve) -> None:
    api, _ = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    with pytest.raises(EngineUnreachable, match="in the middle of an answer"):
        api.json("GET", "/x")


def test_an_older_engine_is_asked_in_its_version(serve: Serve) -> None:
    refusal = b'{"message":"client version 1.51 is too new. Maximum supported API version is 1.45"}'
    api, asked = serve(ok(refusal, status="400 Bad Request", extra="Connection: close\r\n"), ok(b'"yes"'))
    assert api.json("GET", "/x") == "yes"
    assert api.version == "1.45"
    assert asked[1].startswith(b"GET /v1.45/x ")


def test_an_idle_connection_that_the_engine_closed_is_replaced(serve: Serve) -> None:
    api, asked = serve(ok(b"1"), ok(b"2"))
    assert (api.json("GET", "/a"), api.json("GET", "/b")) == (1, 2)
    assert len(asked) == 2


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable, match="No such file or directory"):
        Transport(f"unix://{tmp_path}/none").json("GET", "/x")


def test_quote() -> None:
    assert quote("a b/ü") == "a%20b%2F%C3%BC"


def test_json_like_the_package() -> None:
    assert loads(' [1.5, -2, true, null, "\\u00e9"] ') == [1.5, -2, True, None, "é"]
    assert dumps({"k": ["<é>", 1, None, True, 0.5]}) == '{"k":["<\\u00e9>",1,null,true,0.5]}'
    for bad in ("", "{", "[1] 2", "nul", '{"a" 1}'):
        with pytest.raises(ValueError, match=r".+"):
            loads(bad)
