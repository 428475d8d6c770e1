"""exec: a further process in a running container, its streams straight from the engine (no monitor)."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from solva.api.framing import STDERR, STDOUT, frame
from solva.api.streams import RawStream
from solva.api.types.exec import ExecCreate, ExecStart
from solva.containers import spec, users
from solva.containers.attach import detach_sequence, scan_escape
from solva.containers.core import Core
from solva.containers.limits import rlimits
from solva.containers.model import Container
from solva.errors import Conflict, InvalidParameter, NotFound
from solva.ids import new_id
from solva.kernel import pty
from solva.kernel.process import Process
from solva.runtimes import capabilities, errors

_CHUNK = 65536


@dataclass(slots=True)
class Exec:
    """Kept in memory; gone with its container's run."""

    id: str
    container_id: str
    body: ExecCreate
    running: bool = False
    started: bool = False
    exit_code: int | None = None
    pid: int = 0
    terminal: int = -1
    process: Process | None = None
    size: list[int] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def words(self) -> str:
        return f"{self.body.cmd[0]} {' '.join(self.body.cmd[1:])}"


class Execs:
    """All execs of an engine."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_id: dict[str, Exec] = {}

    def ids(self, container_id: str) -> list[str]:
        return [item.id for item in self._by_id.values() if item.container_id == container_id]

    def get(self, exec_id: str) -> Exec:
        item = self._by_id.get(exec_id)
        if item is None or self._core.registry.maybe(item.container_id) is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        return item

    def create(self, container: Container, body: ExecCreate) -> str:
        if not body.cmd:
            raise InvalidParameter("No exec command specified")
        _check_running(container)
        try:
            detach_sequence(body.detach_keys)
        except InvalidParameter:
            raise InvalidParameter(f"Invalid escape keys ({body.detach_keys}) provided") from None
        for old in [item for item in self._by_id.values() if item.exit_code is not None][:-256]:
            del self._by_id[old.id]
        item = Exec(new_id(), container.id, body)
        self._by_id[item.id] = item
        self._core.event(container, f"exec_create: {item.words}", execID=item.id)
        return item.id

    async def start(self, exec_id: str, body: ExecStart) -> ExecSession | None:
        """The process runs when this returns; None for a detached one."""
        item = self.get(exec_id)
        if item.started:
            raise Conflict(f"Error: Exec command {exec_id} has already run" if not item.running else
                           f"Error: Exec command {exec_id} is already running")
        container = self._core.registry.get(item.container_id)
        _check_running(container)
        if body.console_size:
            item.size = body.console_size
        item.size = item.size or item.body.console_size
        item.started = True
        session = ExecSession(self._core, container, item, framed=not body.tty)
        if body.detach:
            await session.start_detached()
            return None
        users.resolve(self._core.snapshots.rootfs(container.id), item.body.user, [])     # before the hijack
        return session

    def resize(self, exec_id: str, height: int, width: int) -> None:
        item = self.get(exec_id)
        item.size = [height, width]
        if item.terminal >= 0:
            pty.set_window_size(item.terminal, height, width)

    def inspect(self, exec_id: str) -> dict[str, Any]:
        item = self.get(exec_id)
        body = item.body
        return {
            "ID": item.id, "Running": item.running, "ExitCode": item.exit_code,
            "ProcessConfig": {"tty": body.tty, "entrypoint": body.cmd[0], "arguments": body.cmd[1:],
                              "privileged": body.privileged, **({"user": body.user} if body.user else {})},
            "OpenStdin": body.attach_stdin, "OpenStderr": body.attach_stderr, "OpenStdout": body.attach_stdout,
            "CanRemove": item.exit_code is not None, "ContainerID": item.container_id, "DetachKeys": "",
            "Pid": item.pid,
        }


def _check_running(container: Container) -> None:
    if container.state.status == "paused":
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
    if container.state.status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if not container.state.alive:
        raise Conflict(f"container {container.id} is not running")


def process_spec(core: Core, container: Container, body: ExecCreate) -> dict[str, Any]:
    """The OCI process."""
    identity = users.resolve(core.snapshots.rootfs(container.id), body.user or container.config.user,
                             container.host_config.group_add)
    host = container.host_config
    env = dict(entry.partition("=")[::2] for entry in spec.environment(container, identity, tty=body.tty))
    env.update(entry.partition("=")[::2] for entry in body.env)
    if body.user and not any(entry.startswith("HOME=") for entry in [*container.config.env, *body.env]):
        env["HOME"] = identity.home
    names = capabilities.resolve(host.cap_add, host.cap_drop, privileged=body.privileged or host.privileged)
    options = spec.security_options(host.security_opt)
    return {
        "terminal": body.tty, "user": spec.user(identity), "args": body.cmd,
        "env": [f"{name}={value}" for name, value in env.items()],
        "cwd": body.working_dir or container.config.working_dir or "/",
        "capabilities": spec.capability_sets(names, identity.uid),
        "noNewPrivileges": options.get("no-new-privileges", "false") == "true",
        "rlimits": rlimits(host),
    }


class ExecSession:
    """See StreamSession. ``framed``: as the start's ``Tty`` has it, whatever the exec's own says (as in Docker)."""

    def __init__(self, core: Core, container: Container, item: Exec, *, framed: bool) -> None:
        self._core, self._container, self._item = core, container, item
        self._framed = framed
        self.tty = item.body.tty
        self._directory = core.settings.run_root / "exec" / item.id[:16]

    async def _launch(self, fds: dict[int, int], console: Path | None) -> Process:
        item, core = self._item, self._core
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._directory / "process.json"
        file.write_bytes(msgspec.json.encode(process_spec(core, self._container, item.body)))
        core.event(self._container, f"exec_start: {item.words}", execID=item.id)
        item.running = True
        process = await core.runtime.exec(self._container.id, file, self._directory / "log", fds=fds, console=console,
                                          pid_file=self._directory / "pid")
        item.process = process
        return process

    def _finish(self, rc: int) -> str:
        """Enter the exit; what crun had to say where the program could not be started."""
        item = self._item
        said = ""
        try:
            said = (self._directory / "log").read_text()
        except OSError:
            pass
        try:
            item.pid = int((self._directory / "pid").read_text())
        except (OSError, ValueError):
            pass
        code = 128 - rc if rc < 0 else rc
        message = ""
        if said and rc in (1, 255, 126, 127):
            cause, code = errors.translate(said, item.body.cmd[0])
            code = 126 if code == 128 else code
            message = errors.EXEC_PREFIX + cause
        item.exit_code, item.running = code, False
        item.done.set()
        shutil.rmtree(self._directory, ignore_errors=True)
        if not message:
            self._core.event(self._container, "exec_die", execID=item.id, exitCode=str(code))
        return message

    async def start_detached(self) -> None:
        try:
            process = await self._launch({}, None) if not self.tty else await self._launch_detached_tty()
        except BaseException:
            self._finish(126)
            raise
        waiter = asyncio.ensure_future(process.wait())
        done, _ = await asyncio.wait({waiter}, timeout=0.05)
        if done:
            message = self._finish(waiter.result())
            if message:
                raise InvalidParameter(message)
            return
        self._core.background(self._later(waiter))

    async def _launch_detached_tty(self) -> Process:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        console = pty.ConsoleSocket(self._directory / "tty")
        process = await self._launch({}, console.path)
        self._core.background(self._swallow(console, process))
        return process

    async def _swallow(self, console: pty.ConsoleSocket, process: Process) -> None:
        master = await _terminal(console, process)
        if master >= 0:
            await _pump_out(master, lambda _data: _nothing())
            os.close(master)

    async def _later(self, waiter: asyncio.Future[int]) -> None:
        self._finish(await waiter)

    def discard(self) -> None:
        """See StreamSession."""
        self._finish(126)

    async def run(self, stream: RawStream) -> None:
        """Run the program with its streams on the connection."""
        try:
            message = await (self._run_tty(stream) if self.tty else self._run_pipes(stream))
            if message:
                text = (message + "\r\n").encode()
                await stream.write(frame(STDERR, text) if self._framed else text)
        except ConnectionError:
            pass
        finally:
            if self._item.running:
                self._core.background(self._abandoned())
            stream.close()

    def _piece(self, kind: int, data: bytes) -> bytes:
        return frame(kind, data) if self._framed else data

    async def _abandoned(self) -> None:
        """The client has gone; the program goes on, as in Docker."""
        process = self._item.process
        if process is not None:
            self._finish(await process.wait())
        else:
            self._finish(137)

    async def _run_pipes(self, stream: RawStream) -> str:
        body = self._item.body
        ours: list[int] = []
        theirs: dict[int, int] = {}
        try:
            outputs = []
            for number, wanted in ((1, body.attach_stdout), (2, body.attach_stderr)):
                if wanted:
                    reader, writer = os.pipe()
                    ours.append(reader)
                    theirs[number] = writer
                    outputs.append((STDOUT if number == 1 else STDERR, reader))
            feed = -1
            if body.attach_stdin:
                reader, feed = os.pipe()
                theirs[0] = reader
            try:
                process = await self._launch(theirs, None)
            finally:
                for fd in theirs.values():
                    os.close(fd)
            source = asyncio.ensure_future(_feed(stream, feed)) if feed >= 0 else None
            try:
                await asyncio.gather(*(
                    _pump_out(fd, lambda data, kind=kind: stream.write(self._piece(kind, data))) for kind, fd in outputs
                ))
                rc = await process.wait()
            finally:
                if source is not None:
                    source.cancel()
                    await asyncio.gather(source, return_exceptions=True)
            return self._finish(rc)
        finally:
            for fd in ours:
                os.close(fd)

    async def _run_tty(self, stream: RawStream) -> str:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        console = pty.ConsoleSocket(self._directory / "tty")
        master = -1
        source: asyncio.Future[None] | None = None
        try:
            process = await self._launch({}, console.path)
            master = await _terminal(console, process)
            if master < 0:
                return self._finish(await process.wait())
            self._item.terminal = master
            if self._item.size:
                pty.set_window_size(master, *self._item.size)
            pump = asyncio.ensure_future(
                _pump_out(master, lambda data: stream.write(self._piece(STDOUT, data))))
            if self._item.body.attach_stdin:
                source = asyncio.ensure_future(
                    _feed(stream, master, detach_sequence(self._item.body.detach_keys), close=False))
            waiting = {pump} | ({source} if source is not None else set())
            while not pump.done():
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if source is not None and source.done() and not pump.done():
                    if source.exception() is not None:      # detached by keys
                        pump.cancel()
                        return ""
                    waiting.discard(source)
            await asyncio.gather(pump)
            return self._finish(await process.wait())
        finally:
            if source is not None:
                source.cancel()
            self._item.terminal = -1
            if master >= 0:
                os.close(master)
            console.close()


class Detached(Exception):
    """The client has typed the detach keys."""


async def _terminal(console: pty.ConsoleSocket, process: Process) -> int:
    """The terminal's master, -1 when the program ended before it had one."""
    receiver = asyncio.ensure_future(console.receive())
    ended = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait({receiver, ended}, return_when=asyncio.FIRST_COMPLETED)
        if receiver.done():
            return receiver.result()
        done, _ = await asyncio.wait({receiver}, timeout=0.05)
        return receiver.result() if done else -1
    finally:
        receiver.cancel()
        ended.cancel()
        console.close()


async def _nothing() -> None:
    return


async def _pump_out(fd: int, write: Any) -> None:
    """Read until the other side closes (for a terminal that is EIO) and write it on."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    ready = asyncio.Event()
    while True:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            ready.clear()
            loop.add_reader(fd, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(fd)
            continue
        except OSError:
            return
        if not data:
            return
        await write(data)


async def _feed(stream: RawStream, fd: int, escape: bytes = b"", close: bool = True) -> None:
    """The client's input to ``fd``; its half-close closes that."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    held = b""
    try:
        while data := await stream.read():
            detached = False
            if escape:
                data, held, detached = scan_escape(held, data, escape)
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(fd, view):]
                except BlockingIOError:
                    ready = asyncio.Event()
                    loop.add_writer(fd, ready.set)
                    try:
                        await ready.wait()
                    finally:
                        loop.remove_writer(fd)
            if detached:
                raise Detached
        if not close:
            os.write(fd, b"\x04")
    except (OSError, ConnectionError):
        pass
    finally:
        if close:
            os.close(fd)


async def probe(core: Core, container: Container, words: list[str], limit: float) -> tuple[int, bytes]:
    """A health check: exit code and output. TimeoutError after ``limit`` seconds (the program is killed)."""
    body = ExecCreate(cmd=words, attach_stdout=True, attach_stderr=True)
    item = Exec(new_id(), container.id, body)
    core.event(container, f"exec_create: {item.words}", execID=item.id)
    session = ExecSession(core, container, item, framed=True)
    output = bytearray()
    reader, writer = os.pipe()

    async def collect(data: bytes) -> None:
        if len(output) < _CHUNK:
            output.extend(data)

    try:
        try:
            process = await session._launch({1: writer, 2: writer}, None)
        finally:
            os.close(writer)
        try:
            async with asyncio.timeout(limit):
                await _pump_out(reader, collect)
                rc = await process.wait()
        except TimeoutError:
            _kill_exec(session, process)
            session._finish(137)
            raise
        message = session._finish(rc)
    finally:
        os.close(reader)
    return (item.exit_code or 0) if not message else -1, message.encode() if message else bytes(output)


def _kill_exec(session: ExecSession, process: Process) -> None:
    try:
        os.kill(int((session._directory / "pid").read_text()), 9)
    except (OSError, ValueError):
        pass
    process.kill()
