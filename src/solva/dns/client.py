"""The engine's side of the name server: starts it, keeps it alive, tells it what has changed and waits for its word."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from solva.dns import paths, state
from solva.errors import SystemFailure, Unavailable
from solva.kernel import pidfd

_ANSWER_SECONDS = 5.0
_START_SECONDS = 10.0
_ATTEMPTS = 3
_BACKOFF_LIMIT = 5.0
_LINE_LIMIT = 1 << 20
_READY_FD = 3
_SHORT_LIFE = 1.0
"""Seconds: a process that dies younger is started again after as long, lest a faulty one takes the machine."""
_PROGRAM = Path(__file__).with_name("__main__.py")


class NameService:
    """One per engine. The process outlives the engine, and is started again when it dies.

    ``run``: the run directory. Methods may be called concurrently; requests go one after the other, each well under
    a millisecond.
    """

    def __init__(self, run: Path | str, *, log_queries: bool = False, python: str = sys.executable) -> None:
        self._run = str(run)
        self._log_queries = log_queries
        self._python = python
        self._lock = asyncio.Lock()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._watch: pidfd.Watch | None = None
        self._revival: asyncio.Task[None] | None = None
        self._started = 0.0
        self._closed = False

    async def start(self) -> None:
        """Start the process if none lives, adopt the living one. Raises Unavailable when it does not come up."""
        async with self._lock:
            await self._ensure()

    async def put(self, names: state.SandboxNames) -> None:
        """Write the sandbox's file; when this returns its names are served.

        Raises SystemFailure when the process cannot serve the sandbox (its namespace is gone), Unavailable when there
        is no process to be had; the file is gone again then.
        """
        state.write(self._run, names)
        try:
            await self._order(f"put {names.id}")
        except BaseException:
            state.remove(self._run, names.id)
            raise

    async def remove(self, sandbox_id: str) -> None:
        """Forget the sandbox. Nothing happens when it is not known, or no process is there to know it."""
        state.remove(self._run, sandbox_id)
        try:
            await self._order(f"remove {sandbox_id}")
        except Unavailable:
            pass  # whichever process comes next finds no file

    def known(self) -> list[str]:
        """Ids of the sandboxes that have a file: what the engine compares with its store when it starts."""
        return state.known(self._run)

    async def log_queries(self, wanted: bool) -> None:
        """The query log, in ``run/dns/dns.log``, on or off."""
        self._log_queries = wanted
        await self._order(f"log {'on' if wanted else 'off'}")

    async def status(self) -> dict[str, Any]:
        """What the process says of itself: pid, protocol, log_queries, sandboxes, failed {id: why}."""
        answer: dict[str, Any] = json.loads(await self._request("status"))
        return answer

    async def stop(self) -> None:
        """The engine ends; the process goes on."""
        self._closed = True
        if self._revival is not None:
            self._revival.cancel()
        async with self._lock:
            self._disconnect()
            self._unwatch()

    async def shut_down(self) -> None:
        """End the process too: nothing needs names any more."""
        self._closed = True
        if self._revival is not None:
            self._revival.cancel()
        async with self._lock:
            if self._stream is not None or await self._adopt():
                await self._end_living()

    async def _order(self, line: str) -> None:
        answer = await self._request(line)
        if answer != "ok":
            raise SystemFailure(f"solva dns: {line}: {answer.removeprefix('failed ')}")

    async def _request(self, line: str) -> str:
        """One request; a process that died meanwhile is started again, and it has read the files."""
        async with self._lock:
            for _ in range(_ATTEMPTS):
                await self._ensure()
                try:
                    return await self._exchange(line)
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    self._disconnect()
                except BaseException:
                    self._disconnect()  # its answer is still to come, and must not be taken for the next one's
                    raise
        raise Unavailable(f"solva dns does not answer; see {paths.log_file(self._run)}")

    async def _exchange(self, line: str) -> str:
        if self._stream is None:
            raise ConnectionError
        reader, writer = self._stream
        writer.write(line.encode() + b"\n")
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await reader.readuntil(b"\n")
        return answer[:-1].decode()

    async def _ensure(self) -> None:
        """A process that answers, adopted or new. Called under the lock."""
        if self._stream is not None:
            return
        if not await self._adopt():
            await self._spawn()

    async def _adopt(self) -> bool:
        """Take over the process that lives, if it is one of ours and of this protocol."""
        try:
            await self._connect()
            found = json.loads(await self._exchange("status"))
            if self._log_queries and found.get("protocol") == paths.PROTOCOL and not found["log_queries"]:
                await self._exchange("log on")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            self._disconnect()
            await self._kill_silent()
            return False
        if found.get("protocol") != paths.PROTOCOL:
            await self._end_living()
            return False
        if not self._observe(found["pid"]):
            self._disconnect()
            return False
        self._log_queries = self._log_queries or found["log_queries"]      # switched on live: stays so
        return True

    async def _connect(self) -> None:
        self._stream = await asyncio.open_unix_connection(paths.control_socket(self._run), limit=_LINE_LIMIT)

    def _observe(self, pid: int) -> bool:
        if self._watch is not None and self._watch.pid == pid and self._watch.pidfd >= 0:
            return True
        self._unwatch()
        try:
            self._watch = pidfd.Watch(pid, lambda: self._ended(pid))
        except ProcessLookupError:
            return False
        return True

    async def _end_living(self) -> None:
        """Tell the connected process to stop, and wait until it is gone; one that does not go is killed."""
        pid = self._watch.pid if self._watch is not None else 0
        self._unwatch()
        try:
            await self._exchange("stop")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        self._disconnect()
        if not pid or not await _gone(pid):
            await self._kill_silent()

    async def _kill_silent(self) -> None:
        """End a process that holds the pid file and does not answer; its pid is believed if it runs our program."""
        try:
            pid = int(Path(paths.pid_file(self._run)).read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if self._run.encode() not in command or not any(b"solva" in word and b"dns" in word for word in command):
            return
        await _gone(pid, kill=True)

    async def _spawn(self) -> None:
        """A new process, and wait until it has read all files and serves them."""
        ready, pid = self._launch()
        self._started = time.monotonic()
        self._observe(pid)
        if not await _ready(ready):
            raise Unavailable(f"solva dns did not start: {_last_line(paths.log_file(self._run))}")
        await self._connect()

    def _launch(self) -> tuple[int, int]:
        """Own session, no descriptors of ours but its log and the pipe that says it is ready; that and the pid."""
        os.makedirs(paths.directory(self._run), exist_ok=True)
        log = os.open(paths.log_file(self._run), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        ready, theirs = os.pipe()
        arguments = [self._python, "-IS", str(_PROGRAM), "--run-root", self._run, "--ready-fd", str(_READY_FD)]
        if self._log_queries:
            arguments.append("--log-queries")
        try:
            pid = os.posix_spawn(
                self._python, arguments, {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, setsid=True, setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2),
                    (os.POSIX_SPAWN_DUP2, theirs, _READY_FD),
                ],
            )
        except OSError as error:
            os.close(ready)
            raise Unavailable(f"solva dns cannot be started: {self._python}: {error.strerror}") from error
        finally:
            os.close(log)
            os.close(theirs)
        return ready, pid

    def _ended(self, pid: int) -> None:
        """The process is gone while we live: another one, a little later each time it does not even start."""
        _reap(pid)
        self._watch = None
        self._disconnect()
        if not self._closed and (self._revival is None or self._revival.done()):
            short_life = time.monotonic() - self._started < _SHORT_LIFE
            self._revival = asyncio.get_running_loop().create_task(self._revive(_SHORT_LIFE if short_life else 0.0))

    async def _revive(self, delay: float) -> None:
        while not self._closed:
            await asyncio.sleep(delay)
            try:
                await self.start()
            except (Unavailable, OSError):
                delay = min(_BACKOFF_LIMIT, delay * 2 or 0.2)
                continue
            if self._watch is not None:
                return
            delay = _SHORT_LIFE  # it has ended again before this task came to see it

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


async def _gone(pid: int, *, kill: bool = False) -> bool:
    """Wait for the end of a process, reaped if it is a child of ours; False when it does not end in time."""
    ended = asyncio.Event()
    try:
        watch = pidfd.Watch(pid, ended.set)
    except ProcessLookupError:
        return True
    if kill:
        watch.kill(signal.SIGKILL)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await ended.wait()
    except TimeoutError:
        watch.close()
        return False
    _reap(pid)
    return True


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # the child of an engine before us


def _last_line(path: str) -> str:
    try:
        lines = Path(path).read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it ended without a word"
