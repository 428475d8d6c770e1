"""Starting programs: ``posix_spawn`` from one thread that has its own view of the file system, ends seen by pidfd.

A spawned program inherits the mount namespace and working directory of the thread that starts it, so a thread which
has unshared both gives its children another view than the process has, without an ``nsenter`` in front of each.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

CLONE_FS = 0x200
CLONE_NEWNS = 0x20000      # a mount namespace of its own; implies CLONE_FS
_HIGH = 64  # descriptors are first moved above any number a child wants, so that no dup2 hides a later source
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """unshare(2) of the calling thread. OSError."""
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended: exit code (minus the signal's number for a signal) and what it wrote."""

    rc: int
    stdout: bytes
    stderr: bytes


class Process:
    """A running child. ``leads``: of a process group of its own, which ``kill`` is for."""

    __slots__ = ("_done", "_leads", "pid", "pidfd")

    def __init__(self, pid: int, loop: asyncio.AbstractEventLoop, leads: bool = False) -> None:
        self.pid = pid
        self._leads = leads
        self.pidfd = os.pidfd_open(pid)
        self._done: asyncio.Future[int] = loop.create_future()
        loop.add_reader(self.pidfd, self._reap, loop)

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self.pidfd)
        info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        self.pidfd = -1
        code = 0
        if info is not None:
            code = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
        if not self._done.done():
            self._done.set_result(code)

    async def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended it. May be awaited by several."""
        return await asyncio.shield(self._done)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; nothing happens when the process has ended."""
        if self.pidfd >= 0:      # not reaped: the number is its own still
            try:
                if self._leads:
                    os.killpg(self.pid, number)
                else:
                    signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                pass


@dataclass(frozen=True, slots=True)
class _Job:
    argv: Sequence[str]
    env: Mapping[str, str]
    fds: Mapping[int, int]
    cwd: str
    group: bool
    reply: Callable[[int | BaseException], None]


class Spawner:
    """Starts children from a thread of its own. ``prepare`` runs in it first (another mount namespace)."""

    def __init__(self, prepare: Callable[[], None] | None = None) -> None:
        self._prepare = prepare
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="spawner", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            unshare(CLONE_FS)
            os.umask(0o022)
            if self._prepare is not None:
                self._prepare()
        except BaseException as error:  # handed to every caller: there is nobody else to tell
            self._failed = error
        while (job := self._jobs.get()) is not None:
            try:
                if self._failed is not None:
                    raise self._failed
                job.reply(_start(job))
            except BaseException as error:  # the thread must live
                job.reply(error)

    async def spawn(
        self, argv: Sequence[str], *, fds: Mapping[int, int] | None = None, env: Mapping[str, str] | None = None,
        cwd: str = "/", group: bool = False,
    ) -> Process:
        """Start ``argv`` (absolute path first). ``fds``: number in the child -> descriptor here, which stays open
        here; of 0, 1 and 2 those not named are /dev/null. ``group``: in a process group of its own. OSError when the
        program cannot be executed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()

        def settle(result: int | BaseException) -> None:
            if future.done():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        def reply(result: int | BaseException) -> None:
            loop.call_soon_threadsafe(settle, result)

        self._jobs.put(_Job(argv, os.environ if env is None else env, fds or {}, cwd, group, reply))
        pid = await asyncio.shield(future)
        return Process(pid, loop, group)

    async def run(
        self, argv: Sequence[str], *, fds: Mapping[int, int] | None = None, env: Mapping[str, str] | None = None,
        cwd: str = "/", group: bool = False, limit: int = 0,
    ) -> Completed:
        """Run to the end; output is collected in memory files, so a chatty program never blocks. ``limit``: bytes of
        each, more cannot be written. Cancelled: it is killed, with its ``group`` if it leads one."""
        out, err = _memory("stdout", limit), _memory("stderr", limit)
        try:
            process = await self.spawn(argv, fds={1: out, 2: err, **(fds or {})}, env=env, cwd=cwd, group=group)
            try:
                rc = await process.wait()
            except asyncio.CancelledError:
                process.kill()
                raise
            return Completed(rc, _content(out, limit), _content(err, limit))
        finally:
            os.close(out)
            os.close(err)

    def close(self) -> None:
        """Ends the thread; children live on."""
        self._jobs.put(None)


def _memory(name: str, limit: int) -> int:
    """A file of at most ``limit`` bytes; 0 for any number."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if limit:
        os.ftruncate(fd, limit)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return fd


def _content(fd: int, limit: int) -> bytes:
    """What has been written. A file with a limit has that size from the start; the child shares the position."""
    return os.pread(fd, os.lseek(fd, 0, os.SEEK_CUR) if limit else os.fstat(fd).st_size, 0)


def _start(job: _Job) -> int:
    os.chdir(job.cwd)
    held: list[int] = []
    null = -1
    try:
        wanted = dict(job.fds)
        for number in (0, 1, 2):
            if number not in wanted:
                if null < 0:
                    null = os.open("/dev/null", os.O_RDWR)
                wanted[number] = null
        actions = []
        for number, source in wanted.items():
            high = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _HIGH)
            held.append(high)
            actions.append((os.POSIX_SPAWN_DUP2, high, number))
        if job.group:
            return os.posix_spawn(job.argv[0], list(job.argv), dict(job.env), file_actions=actions, setpgroup=0,
                                  setsigmask=[], setsigdef=_DEFAULT_SIGNALS)
        return os.posix_spawn(
            job.argv[0], list(job.argv), dict(job.env), file_actions=actions, setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        for fd in held:
            os.close(fd)
        if null >= 0:
            os.close(null)
