"""The Engine API itself: calls a second over one connection, exec, logs, attach, copying, memory over many lives."""

from __future__ import annotations

import http.client
import io
import socket
import tarfile
import time
from pathlib import Path

from tools.bench.figure import Aim, Figure
from tools.bench.sides import CannotMeasure, Side

from solva.errors import SolvaError

FIFTY = 50
CALLS = 400
LINES = 1_000_000
MEGABYTES = 200
FILES = 10_000
LIVES = 400


class _Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("d", timeout=300)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(300)
        self.sock.connect(str(self._path))


def calls(side: Side, path: str, count: int) -> float:
    """Requests a second, one after the other over one connection, with a client that costs little: prepared bytes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(300)
        sock.connect(str(side.socket))
        request = f"GET {path} HTTP/1.1\r\nHost: d\r\n\r\n".encode()
        _answer(sock, request)
        began = time.perf_counter()
        for _ in range(count):
            _answer(sock, request)
        return count / (time.perf_counter() - began)


def _answer(sock: socket.socket, request: bytes) -> None:
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1 << 18)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise CannotMeasure(head.partition(b"\r\n")[0].decode())
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            body += sock.recv(1 << 18)
        return
    size = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < size:
        body += sock.recv(1 << 18)


def create(side: Side, name: str, *command: str) -> None:
    side.api.json("POST", "/containers/create", query={"name": f"{side.prefix}-{name}"},
                  body={"Image": "busybox", "Cmd": list(command), "HostConfig": {"Init": False}})


def fifty(side: Side) -> None:
    side.image("busybox")
    for number in range(FIFTY):
        create(side, f"fifty-{number}", "sleep", "3600")
        side.api.json("POST", f"/containers/{side.prefix}-fifty-{number}/start")


def list_fifty(side: Side) -> float:
    return calls(side, "/containers/json", CALLS // 2)


def ping(side: Side) -> float:
    return calls(side, "/_ping", 10 * CALLS)


def one(side: Side) -> None:
    side.image("busybox")
    create(side, "api", "sleep", "3600")
    side.api.json("POST", f"/containers/{side.prefix}-api/start")


def exec_api(side: Side) -> float:
    """`true` by exec, create, start (attached) and inspect, by the API alone; ms."""
    began = time.perf_counter()
    made = side.api.json("POST", f"/containers/{side.prefix}-api/exec",
                         body={"Cmd": ["true"], "AttachStdout": True, "AttachStderr": True})
    connection = _Connection(side.socket)
    try:
        connection.request("POST", f"/exec/{made['Id']}/start", body='{"Detach":false,"Tty":false}',
                           headers={"Content-Type": "application/json"})
        connection.getresponse().read()
    finally:
        connection.close()
    if side.api.json("GET", f"/exec/{made['Id']}/json")["ExitCode"] != 0:
        raise CannotMeasure("exec did not end well")
    return 1000 * (time.perf_counter() - began)


def a_million_lines(side: Side) -> None:
    side.image("busybox")
    create(side, "lines", "seq", str(LINES))
    side.api.json("POST", f"/containers/{side.prefix}-lines/start")
    side.api.json("POST", f"/containers/{side.prefix}-lines/wait")


def logs(side: Side) -> float:
    """Lines a second of the whole log."""
    connection = _Connection(side.socket)
    try:
        began = time.perf_counter()
        connection.request("GET", f"/containers/{side.prefix}-lines/logs?stdout=1&stderr=1")
        answer = connection.getresponse()
        size = 0
        while data := answer.read(1 << 20):
            size += len(data)
        took = time.perf_counter() - began
    finally:
        connection.close()
    wanted = sum(len(str(number)) + 9 for number in range(1, LINES + 1))
    if size != wanted:
        raise CannotMeasure(f"the log has {size} bytes, not {wanted}")
    return LINES / took


def attach(side: Side) -> float:
    """MB a second of zeros through an attached stdout, the container's start included."""
    name = f"{side.prefix}-attached"
    side.api.json("POST", "/containers/create", query={"name": name}, body={
        "Image": "busybox", "Cmd": ["dd", "if=/dev/zero", "bs=64k", f"count={MEGABYTES * 16}"], "AttachStdout": True,
        "HostConfig": {"LogConfig": {"Type": "none"}}})
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(300)
            sock.connect(str(side.socket))
            sock.sendall(f"POST /containers/{name}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
                         "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
            if b"101" not in sock.recv(4096):
                raise CannotMeasure("attach was refused")
            began = time.perf_counter()
            side.api.json("POST", f"/containers/{name}/start")
            size = 0
            while data := sock.recv(1 << 20):
                size += len(data)
            took = time.perf_counter() - began
        if size < MEGABYTES << 20:
            raise CannotMeasure(f"only {size} bytes came")
        return MEGABYTES / took
    finally:
        side.api.json("DELETE", f"/containers/{name}", query={"force": True})


def small_files(side: Side) -> None:
    """A folder of 10,000 files of 100 bytes for `cp`, and a container."""
    one(side)
    place = side.folder / "small"
    if not place.exists():
        place.mkdir()
        for number in range(FILES):
            (place / f"{number}.txt").write_bytes(b"x" * 100)


def cp(side: Side) -> float:
    return side.cli("cp", str(side.folder / "small"), f"{side.prefix}-api:/copied").seconds


def copied(side: Side) -> None:
    small_files(side)
    cp(side)


def cp_out(side: Side) -> float:
    """The other way, by the API: the archive read to its end."""
    connection = _Connection(side.socket)
    try:
        began = time.perf_counter()
        connection.request("GET", f"/containers/{side.prefix}-api/archive?path=/copied")
        answer = connection.getresponse()
        data = answer.read()
        took = time.perf_counter() - began
    finally:
        connection.close()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        if len(tar.getnames()) != FILES + 1:
            raise CannotMeasure(f"{len(tar.getnames())} names in the archive")
    return took


def resident(side: Side) -> float:
    total = 0.0
    for pid in side.processes().values():
        rows = Path(f"/proc/{pid}/status").read_text()
        total += int(rows.partition("VmRSS:")[2].split()[0]) / 1024
    return total


def lives(side: Side, count: int) -> None:
    for _ in range(count):
        create(side, "life", "true")
        name = f"/containers/{side.prefix}-life"
        side.api.json("POST", f"{name}/start")
        side.api.json("POST", f"{name}/wait")
        side.api.json("DELETE", name, query={"force": True})


def warm(side: Side) -> None:
    side.image("busybox")
    lives(side, 100)


def growth(side: Side) -> float:
    """MB that the engine has grown by over the lives of LIVES containers."""
    before = resident(side)
    lives(side, LIVES)
    return max(0.0, resident(side) - before)


def cleanup(side: Side) -> None:
    """All of ours away; Docker says "already in progress" for what it is still at."""
    for _ in range(100):
        try:
            side.clear()
            return
        except SolvaError:
            time.sleep(0.1)


FIGURES = (
    Figure("api-list", f"`GET /containers/json`, {FIFTY} containers, one connection", "1/s", list_fifty,
           Aim(ratio=1.0, better="more"), prepare=fifty, cleanup=cleanup, runs=5),
    Figure("api-ping", "`GET /_ping`, one connection", "1/s", ping, Aim(ratio=1.0, better="more"), runs=5),
    Figure("api-exec", "exec of `true` by the API", "ms", exec_api, Aim(ratio=0.5), prepare=one, cleanup=cleanup,
           runs=15),
    Figure("api-logs", "`logs` of a million lines", "1/s", logs, Aim(ratio=1.0, better="more"), prepare=a_million_lines,
           cleanup=cleanup, runs=3),
    Figure("api-attach", f"{MEGABYTES} MB through an attached stdout", "MB/s", attach, Aim(ratio=0.8, better="more"),
           prepare=one, cleanup=cleanup, runs=3),
    Figure("api-cp", f"`cp` of {FILES} small files into a container", "s", cp, Aim(ratio=1.0), prepare=small_files,
           cleanup=cleanup, runs=3),
    Figure("api-cp-out", f"{FILES} small files out of a container", "s", cp_out, Aim(ratio=1.0),
           prepare=copied, cleanup=cleanup, runs=3, warm_up=0),
    Figure("api-memory", f"growth of the engine over {LIVES} container lives", "MB", growth, Aim(value=2.0),
           prepare=warm,
           cleanup=cleanup, runs=3, warm_up=0, ours_alone=True),
)
