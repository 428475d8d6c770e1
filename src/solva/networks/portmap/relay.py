"""The engine's side of the relay: starts it when the first port needs it, hands ports over, takes them back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from solva.errors import SystemFailure
from solva.kernel import pidfd

_PROGRAM = Path(__file__).with_name("relay_process.py")
_PACKET = 1 << 16
_SECONDS = 30.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Carried:
    """A port that is carried: what holds it, and where it leads."""

    socket: socket.socket
    proto: str
    target: tuple[str, int]


class Relay:
    """One process for all ports. Nothing waits for it: until it has a port, connections to it are refused."""

    def __init__(self, path: Path, python: str = sys.executable) -> None:
        self._path = path
        self._python = python
        self._ports: dict[str, Carried] = {}
        self._lock = asyncio.Lock()
        self._talk: socket.socket | None = None
        self._watch: pidfd.Watch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def adopt(self) -> Mapping[str, socket.socket]:
        """An engine starts: the ports that a living process carries, by key. They stay its own; the sockets returned
        are other descriptors of the same."""
        found: dict[str, socket.socket] = {}
        async with self._lock:
            if not self._path.exists() or not await self._connect():
                return found
            assert self._talk is not None
            loop = asyncio.get_running_loop()
            self._talk.send(b'{"op": "list"}')
            while True:
                row, descriptors = await _receive(loop, self._talk)
                if row.get("op") != "port":
                    break
                found[row["key"]] = socket.socket(fileno=descriptors[0])
        return found

    def carry(self, wanted: Mapping[str, Carried]) -> None:
        """Carry these as well. Done behind the answer."""
        fresh = {key: port for key, port in wanted.items() if self._ports.get(key) != port}
        self._ports |= fresh
        if fresh:
            self._spawn(self._tell([], fresh))

    async def drop(self, prefix: str, kept: Iterable[str] = ()) -> None:
        """No key that begins with ``prefix`` is carried any more but ``kept``; the host's ports are free then."""
        gone = [key for key in self._ports if key.startswith(prefix) and key not in kept]
        for key in gone:
            del self._ports[key]
        if gone:
            await self._tell(gone, {})

    async def forget(self, keys: Iterable[str]) -> None:
        """Drop what a process carries and nobody here knows."""
        await self._tell(list(keys), {})

    async def close(self) -> None:
        """The engine ends; the process goes on."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        self._hang_up()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, stale: list[str], fresh: Mapping[str, Carried]) -> None:
        async with self._lock:
            try:
                if self._talk is None:
                    if not self._ports and not self._path.exists():
                        return
                    if not await self._connect():
                        if not self._ports:
                            return
                        await self._start()
                        fresh = dict(self._ports)
                for key in stale:
                    await self._order({"op": "drop", "key": key}, ())
                for key, port in fresh.items():
                    if self._ports.get(key) is port and port.socket.fileno() >= 0:
                        row = {"op": "serve", "key": key, "proto": port.proto, "target": port.target}
                        await self._order(row, (port.socket.fileno(),))
                if not self._ports:
                    self._hang_up()      # it ends when nobody speaks to it and it has nothing to do
            except (OSError, ValueError, TimeoutError, SystemFailure) as error:
                _log.warning("relay: %s", error)
                self._hang_up()

    async def _order(self, row: Mapping[str, object], descriptors: tuple[int, ...]) -> None:
        assert self._talk is not None
        socket.send_fds(self._talk, [json.dumps(row).encode()], descriptors)
        answer, _ = await _receive(asyncio.get_running_loop(), self._talk)
        if answer.get("error"):
            raise SystemFailure(f"{row['key']}: {answer['error']}")

    async def _connect(self) -> bool:
        talk = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        talk.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(talk, str(self._path))
            pid = talk.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4]
            self._watch = self._watch or pidfd.Watch(int.from_bytes(pid, "little"), self._ended)
        except (OSError, ProcessLookupError):
            talk.close()
            return False
        self._talk = talk
        return True

    def _hang_up(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None

    async def _start(self) -> None:
        ready = self._launch()
        try:
            await _readable(asyncio.get_running_loop(), ready)      # it listens, or has ended
        finally:
            os.close(ready)
        if not await self._connect():
            raise SystemFailure("the relay process does not start")

    def _launch(self) -> int:
        """A descriptor that becomes readable when the new process listens, or has ended."""
        ready, theirs = os.pipe()
        try:
            pid = os.posix_spawn(
                self._python, [self._python, "-IS", str(_PROGRAM), str(self._path)],
                {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, setsid=True, setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
                file_actions=[*((os.POSIX_SPAWN_OPEN, at, "/dev/null", os.O_RDWR, 0) for at in (0, 1, 2)),
                              (os.POSIX_SPAWN_DUP2, theirs, 3)])
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(theirs)
        if self._watch is not None:
            self._watch.close()
        self._watch = pidfd.Watch(pid, self._ended)
        return ready

    def _ended(self) -> None:
        """It is gone while we live; another one, if there is something to carry."""
        if self._watch is not None:
            try:
                os.waitpid(self._watch.pid, os.WNOHANG)
            except ChildProcessError:
                pass
            self._watch.close()
            self._watch = None
        self._hang_up()
        if self._ports and not self._closed:
            self._spawn(self._tell([], self._ports))


async def _receive(loop: asyncio.AbstractEventLoop, talk: socket.socket) -> tuple[dict[str, str], list[int]]:
    """One packet with the descriptors it carries. SystemFailure at the other side's end."""
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(talk, _PACKET, 1)
        except BlockingIOError:
            await _readable(loop, talk.fileno())
            continue
        if not data:
            raise SystemFailure("the relay process has ended")
        return json.loads(data), list(descriptors)


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _wake, ready)
    try:
        await asyncio.wait_for(ready, _SECONDS)
    finally:
        loop.remove_reader(descriptor)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
