"""The engine's side of the agent: starts it, keeps it alive, asks it. The process outlives the engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from solva.cluster import files
from solva.cluster.files import Config
from solva.errors import SystemFailure, Unavailable
from solva.kernel import pidfd

_START_SECONDS = 10.0
_ANSWER_SECONDS = 20.0
_READY_FD = 3
_SHORT_LIFE = 1.0
_LONGEST_PAUSE = 5.0


class AgentClient:
    """One an engine. Requests go one after the other."""

    def __init__(self, run: Path, config: Config) -> None:
        self._run = run
        self._config = config
        self._lock = asyncio.Lock()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._watch: pidfd.Watch | None = None
        self._revival: asyncio.Task[None] | None = None
        self._started = 0.0
        self._closed = False

    async def start(self) -> None:
        """A living agent of this configuration is adopted, any other replaced. Unavailable when none comes up."""
        files.write(files.config_path(self._run), self._config)
        async with self._lock:
            await self._ensure()

    async def ask(self, verb: str, **values: Any) -> dict[str, Any]:
        """The agent's answer. Unavailable with the reason when etcd, or the agent itself, is not there;
        SystemFailure for what the kernel refused."""
        async with self._lock:
            for attempt in (1, 2):
                await self._ensure()
                try:
                    answer = await self._exchange({"do": verb, **values})
                    break
                except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
                    self._disconnect()
                    if attempt == 2:
                        raise Unavailable("the cluster agent does not answer; see "
                                          f"{files.log_path(self._run)}") from error
                except BaseException:
                    self._disconnect()      # its answer is still to come, and must not be taken for the next one's
                    raise
        if "error" in answer:
            raise (Unavailable if answer.get("kind") == "etcd" else SystemFailure)(str(answer["error"]))
        return answer

    async def stop(self) -> None:
        """The engine ends; the agent goes on."""
        self._closed = True
        if self._revival is not None:
            self._revival.cancel()
        async with self._lock:
            self._disconnect()
            self._unwatch()

    async def shut_down(self) -> None:
        """End the agent, too: this host has no endpoint that needs it. The lease is given back if etcd answers."""
        self._closed = True
        if self._revival is not None:
            self._revival.cancel()
        async with self._lock:
            if self._stream is not None:
                await self._end()

    async def _ensure(self) -> None:
        if self._stream is not None:
            return
        if not await self._adopt():
            await self._spawn()

    async def _adopt(self) -> bool:
        try:
            await self._connect()
            found = await self._exchange({"do": "status"})
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            self._disconnect()
            await self._kill_silent()
            return False
        mine = json.loads(msgspec.json.encode(self._config))
        if not self._observe(int(found.get("pid", 0))):
            self._disconnect()
            return False
        if found.get("protocol") != files.PROTOCOL or found.get("config") != mine:
            # Not "stop": the lease, and with it what is registered, is the next one's.
            await self._kill(signal.SIGTERM)
            return False
        return True

    async def _connect(self) -> None:
        self._stream = await asyncio.open_unix_connection(files.socket_path(self._run), limit=1 << 20)

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._stream is None:
            raise ConnectionError
        reader, writer = self._stream
        writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(_ANSWER_SECONDS):
            line = await reader.readline()
        if not line:
            raise ConnectionError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _observe(self, pid: int) -> bool:
        self._unwatch()
        try:
            self._watch = pidfd.Watch(pid, lambda: self._ended(pid))
        except (ProcessLookupError, OSError):
            return False
        return True

    async def _spawn(self) -> None:
        ready, pid = self._launch()
        self._started = time.monotonic()
        self._observe(pid)
        if not await _ready(ready):
            raise Unavailable(f"the cluster agent did not start; see {files.log_path(self._run)}")
        try:
            await self._connect()
        except OSError as error:
            raise Unavailable(f"the cluster agent did not start: {error}") from error

    def _launch(self) -> tuple[int, int]:
        """Own session, no descriptors of ours but its log and the pipe that says it is ready; that and the pid."""
        log = os.open(files.log_path(self._run), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        ready, theirs = os.pipe()
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")}
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(
            [str(Path(__file__).parents[2]), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]))
        try:
            pid = os.posix_spawn(
                sys.executable, [sys.executable, "-m", "solva.cluster", "--run-root", str(self._run), "--ready-fd",
                                 str(_READY_FD)],
                environment, setsid=True, setsigmask=[], setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2),
                    (os.POSIX_SPAWN_DUP2, theirs, _READY_FD),
                ])
        except OSError as error:
            os.close(ready)
            raise Unavailable(f"the cluster agent cannot be started: {sys.executable}: {error.strerror}") from error
        finally:
            os.close(log)
            os.close(theirs)
        return ready, pid

    def _ended(self, pid: int) -> None:
        """It died while we live: another one, a little later each time it does not even start."""
        _reap(pid)
        self._watch = None
        self._disconnect()
        if not self._closed and (self._revival is None or self._revival.done()):
            short = time.monotonic() - self._started < _SHORT_LIFE
            self._revival = asyncio.get_running_loop().create_task(self._revive(_SHORT_LIFE if short else 0.0))

    async def _revive(self, pause: float) -> None:
        while not self._closed:
            await asyncio.sleep(pause)
            try:
                await self.start()
                return
            except (Unavailable, OSError):
                pause = min(_LONGEST_PAUSE, pause * 2 or 0.2)

    async def _end(self) -> None:
        try:
            await self._exchange({"do": "stop"})
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            pass
        await self._kill(signal.SIGTERM)

    async def _kill(self, number: int) -> None:
        pid = self._watch.pid if self._watch is not None else 0
        self._unwatch()
        self._disconnect()
        if pid:
            await _gone(pid, number)

    async def _kill_silent(self) -> None:
        """End a process that holds the pid file and does not answer; its pid is believed if it runs our program."""
        try:
            pid = int(files.pid_path(self._run).read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if str(self._run).encode() in command and b"solva.cluster" in command:
            await _gone(pid, signal.SIGKILL)

    def _disconnect(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


async def _ready(pipe: int) -> bool:
    """Whether something comes through ``pipe`` before it is closed; closes our end."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bool] = loop.create_future()

    def readable() -> None:
        loop.remove_reader(pipe)
        if not came.done():
            came.set_result(bool(os.read(pipe, 16)))

    loop.add_reader(pipe, readable)
    try:
        async with asyncio.timeout(_START_SECONDS):
            return await came
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pipe)
        os.close(pipe)


async def _gone(pid: int, number: int) -> None:
    """Signal a process and wait for its end; killed when it does not heed."""
    ended = asyncio.Event()
    try:
        watch = pidfd.Watch(pid, ended.set)
    except ProcessLookupError:
        return
    watch.kill(number)
    try:
        async with asyncio.timeout(3):
            await ended.wait()
    except TimeoutError:
        watch.kill(signal.SIGKILL)
        await ended.wait()
    _reap(pid)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass      # the child of an engine before us
