"""Attach by websocket, with a real client over the engine's unix socket."""

from __future__ import annotations

import socket

import pytest
import websocket

from support.engine import LiveEngine

pytestmark = pytest.mark.root


def connect(engine: LiveEngine, container: str, query: str) -> websocket.WebSocket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(engine.socket))
    sock.settimeout(60)
    return websocket.create_connection(f"ws://d/v1.51/containers/{container}/attach/ws?{query}", socket=sock)


def test_both_ways_without_frames(engine: LiveEngine) -> None:
    api = engine.api
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "read line; echo got $line; echo problem >&2"], "OpenStdin": True,
            "StdinOnce": True}
    api.json("POST", "/containers/create", query={"name": "ws-plain"}, body=body)
    try:
        client = connect(engine, "ws-plain", "stream=1&stdin=1&stdout=1&stderr=1")
        api.json("POST", "/containers/ws-plain/start")
        client.send("hello\n")
        received = b""
        while b"problem\n" not in received:
            kind, data = client.recv_data()
            assert kind == websocket.ABNF.OPCODE_BINARY
            received += data
        assert sorted(received.splitlines()) == [b"got hello", b"problem"]
        assert client.recv_frame().opcode == websocket.ABNF.OPCODE_CLOSE
        client = connect(engine, "ws-plain", "logs=1&stdout=1")
        assert client.recv() == b"got hello\n"
        client.close()
    finally:
        api.json("DELETE", "/containers/ws-plain", query={"force": True})


def test_terminal_large_messages_and_detach_keys(engine: LiveEngine) -> None:
    api = engine.api
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "stty raw -echo; echo ready; exec cat"], "OpenStdin": True,
            "Tty": True}
    api.json("POST", "/containers/create", query={"name": "ws-tty"}, body=body)
    try:
        client = connect(engine, "ws-tty", "stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,y")
        api.json("POST", "/containers/ws-tty/start")
        received = b""
        while b"ready" not in received:
            received += client.recv_data()[1]
        text = bytes(range(32, 120)) * 2000
        client.send_binary(text)
        received = received.partition(b"ready")[2].lstrip(b"\r\n")
        while len(received) < len(text):
            received += client.recv_data()[1]
        assert received == text
        client.ping(b"there?")
        kind, data = client.recv_data(control_frame=True)
        assert (kind, bytes(data)) == (websocket.ABNF.OPCODE_PONG, b"there?")
        client.send_binary(b"\x18y")
        assert client.recv_frame().opcode == websocket.ABNF.OPCODE_CLOSE
        assert api.json("GET", "/containers/ws-tty/json")["State"]["Running"]
    finally:
        api.json("DELETE", "/containers/ws-tty", query={"force": True})


def test_what_is_no_handshake_is_refused(engine: LiveEngine) -> None:
    api = engine.api
    api.json("POST", "/containers/create", query={"name": "ws-none"}, body={"Image": "busybox"})
    try:
        with pytest.raises(Exception, match="websocket"):
            api.json("GET", "/containers/ws-none/attach/ws", query={"stream": True, "stdout": True})
    finally:
        api.json("DELETE", "/containers/ws-none", query={"force": True})


def test_a_client_that_has_sent_its_last_is_answered(engine: LiveEngine) -> None:
    """`printf 'GET …' | socat - UNIX-CONNECT:…` and `nc -U` close their side of the connection at once."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(engine.socket))
        sock.settimeout(60)
        sock.sendall(b"GET /v1.51/containers/json?all=1 HTTP/1.0\r\nHost: d\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while part := sock.recv(65536):
            data += part
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.partition(b"\r\n\r\n")[2].strip().startswith(b"[")
