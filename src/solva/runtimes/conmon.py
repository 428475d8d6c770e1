"""conmon: one small process a container that holds its stdio, writes its log, and notes its exit status.

It outlives the engine. The engine talks to it through files in the bundle: ``attach`` (a seqpacket socket; what it
sends begins with the number of the stream), ``ctl`` (a fifo for window sizes) and ``exit`` (see ``exit_code``).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from solva.errors import SystemFailure
from solva.runtimes.cgroups import RuntimeSpawner

CONMON = shutil.which("conmon") or "/usr/bin/conmon"


@dataclass(frozen=True, slots=True)
class MonitorSpec:
    """What conmon must know of a container. ``log`` None: no log is kept."""

    id: str
    bundle: Path
    log: Path | None
    terminal: bool = False
    stdin: bool = False
    leave_stdin_open: bool = False
    log_size_max: int = 0


@dataclass(frozen=True, slots=True)
class Monitored:
    """A created, not yet started container."""

    pid: int
    conmon_pid: int


class _Reply(msgspec.Struct):
    pid: int
    message: str = ""


class CreateFailed(Exception):
    """The runtime refused; ``str`` is what it said."""


def command(spec: MonitorSpec, runtime: str, runtime_args: list[str], program: str = CONMON) -> list[str]:
    """conmon's command line."""
    bundle = str(spec.bundle)
    argv = [
        program, "-c", spec.id, "-u", spec.id, "-n", spec.id[:12], "-r", runtime, "-b", bundle,
        "-p", f"{bundle}/pid", "-P", f"{bundle}/conmon.pid", "--exit-dir", f"{bundle}/exit", "--full-attach",
        "--log-level", "error", "--no-sync-log",
    ]
    argv += ["-l", "none"] if spec.log is None else ["-l", f"k8s-file:{spec.log}"]
    if spec.log is not None and spec.log_size_max > 0:
        argv += ["--log-size-max", str(spec.log_size_max)]
    if spec.terminal:
        argv.append("-t")
    if spec.stdin:
        argv.append("-i")
        if spec.leave_stdin_open:
            argv.append("--leave-stdin-open")
    for argument in runtime_args:
        argv += ["--runtime-arg", argument]
    return argv


async def create(spawner: RuntimeSpawner, spec: MonitorSpec, runtime: str, runtime_args: list[str],
                 tmp: Path) -> Monitored:
    """Start conmon, which has the runtime create the container. CreateFailed with the runtime's words.

    ``tmp`` is a directory with a short path for conmon's console socket.
    """
    (spec.bundle / "exit").mkdir(exist_ok=True)
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    stderr = os.memfd_create("conmon")
    env = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "_OCI_SYNCPIPE": "3", "TMPDIR": str(tmp)}
    try:
        try:
            process = await spawner.spawn(
                command(spec, runtime, runtime_args), fds={2: stderr, 3: writer}, env=env, cwd=str(spec.bundle)
            )
        finally:
            os.close(writer)
        raw = await _read_all(loop, reader)
        rc = await process.wait()
        if not raw:
            said = os.pread(stderr, 4096, 0).decode(errors="replace").strip()
            raise SystemFailure(f"conmon ended with status {rc} and no answer: {said or 'it said nothing'}")
    finally:
        os.close(reader)
        os.close(stderr)
    reply = msgspec.json.decode(raw, type=_Reply, strict=False)
    if reply.pid <= 0:
        raise CreateFailed(reply.message.strip() or f"the runtime failed with status {-reply.pid}")
    return Monitored(reply.pid, int((spec.bundle / "conmon.pid").read_text()))


async def _read_all(loop: asyncio.AbstractEventLoop, fd: int) -> bytes:
    """One line, or what came before the other side closed."""
    os.set_blocking(fd, False)
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    data = b""
    try:
        while not data.endswith(b"\n"):
            await ready.wait()
            ready.clear()
            try:
                piece = os.read(fd, 65536)
            except BlockingIOError:
                continue
            if not piece:
                break
            data += piece
    finally:
        loop.remove_reader(fd)
    return data


def exit_code(bundle: Path, container_id: str) -> int | None:
    """The exit status that conmon noted, None when it has not (yet)."""
    try:
        return int((bundle / "exit" / container_id).read_text())
    except (OSError, ValueError):
        return None


def resize(bundle: Path, rows: int, columns: int) -> None:
    """Set the window size of the container's terminal. OSError when conmon is gone."""
    fd = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(fd, f"1 {rows} {columns}\n".encode())
    finally:
        os.close(fd)
