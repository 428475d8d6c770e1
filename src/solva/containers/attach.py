"""attach: clients on a container's stdio.

One connection to conmon a container, fanned out: a client that attaches before the start is connected before the
program runs, so it misses nothing; one that reads slowly makes the others wait (and in the end the container, as in
Docker) only while it is there and ``LIMIT`` bytes behind.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from solva.api.framing import STDERR, STDOUT, frame
from solva.api.streams import RawStream
from solva.api.types.container import AttachOptions, LogsOptions
from solva.containers import logging
from solva.containers.core import Core
from solva.errors import Conflict, InvalidParameter

LIMIT = 4 << 20
_PACKET = 8192 + 1
_KEYS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


class Hub:
    """The clients of one container."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._socket: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self.sessions: set[AttachSession] = set()
        self._paused = False
        self._backlog: deque[bytes] = deque()
        self._writing = False
        self._eof_after = False
        self._room = asyncio.Event()
        self.finished = False

    def connect(self) -> None:
        """To conmon; OSError when there is none."""
        if self._socket is not None:
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        directory = os.open(self._bundle, os.O_PATH | os.O_DIRECTORY)   # its own path may be too long for an address
        try:
            connection.connect(f"/proc/self/fd/{directory}/attach")
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(directory)
        self._socket = connection
        self._loop.add_reader(connection.fileno(), self._read)
        self._flush()

    def _read(self) -> None:
        assert self._socket is not None
        for _ in range(16):
            try:
                packet = self._socket.recv(_PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.finish()
                return
            stream = STDERR if packet[0] == 3 else STDOUT
            for session in self.sessions:
                session.offer(stream, packet[1:])
            if any(session.pending > LIMIT for session in self.sessions):
                self._loop.remove_reader(self._socket.fileno())
                self._paused = True
                return

    def drained(self) -> None:
        """A session has caught up or gone."""
        if self._paused and self._socket is not None and all(s.pending <= LIMIT for s in self.sessions):
            self._paused = False
            self._loop.add_reader(self._socket.fileno(), self._read)

    def send(self, data: bytes) -> None:
        """To the container's stdin."""
        for start in range(0, len(data), 8192):
            self._backlog.append(data[start:start + 8192])
        self._flush()

    async def room(self) -> None:
        """Wait until the container has read most of what was sent to it."""
        while len(self._backlog) * 8192 > LIMIT and not self.finished:
            self._room.clear()
            await self._room.wait()

    def end_input(self) -> None:
        """The client has closed its side; conmon closes the container's stdin (unless that is to stay open)."""
        self._eof_after = True
        self._flush()

    def _flush(self) -> None:
        if self._socket is None:
            return
        while self._backlog:
            try:
                self._socket.send(self._backlog[0])
            except BlockingIOError:
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._socket.fileno(), self._flush)
                return
            except OSError:
                self._backlog.clear()
                break
            self._backlog.popleft()
        self._room.set()
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._socket.fileno())
        if self._eof_after:
            self._eof_after = False
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def finish(self) -> None:
        """The container has ended, or was never started: every client sees the end after what is left."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            if self._writing:
                self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self.finished = True
        self._room.set()
        for session in self.sessions:
            session.end()


class AttachSession:
    """One client."""

    def __init__(self, hub: Hub | None, options: AttachOptions, tty: bool, stdin: bool, replay: list[bytes] | None,
                 history: AsyncIterator[bytes] | None = None) -> None:
        self.tty = tty
        self._framed = options.framed and not tty
        self._hub = hub
        self._options = options
        self._stdin = stdin
        self._history = history
        self._queue: deque[bytes] = deque()
        self.pending = 0
        self._ended = hub is None
        self._wake = asyncio.Event()
        self._escape = detach_sequence(options.detach_keys) if tty else b""
        if hub is not None:
            hub.sessions.add(self)

    def offer(self, stream: int, data: bytes) -> None:
        wanted = self._options.stdout if stream == STDOUT or self.tty else self._options.stderr
        if wanted:
            self._queue.append(frame(stream, data) if self._framed else data)
            self.pending += len(data)
            self._wake.set()

    def discard(self) -> None:
        """See StreamSession."""
        if self._hub is not None:
            self._hub.sessions.discard(self)
            self._hub.drained()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def run(self, stream: RawStream) -> None:
        """See StreamSession."""
        reader: asyncio.Task[None] | None = None
        try:
            if self._history is not None:
                async for piece in self._history:
                    await stream.write(piece)
            if self._hub is not None and self._stdin:
                reader = asyncio.get_running_loop().create_task(self._input(stream))
            await self._output(stream)
        except ConnectionError:
            pass
        finally:
            if reader is not None:
                reader.cancel()
            self.discard()
            stream.close()

    async def _output(self, stream: RawStream) -> None:
        while True:
            while self._queue:
                pieces = b"".join(self._queue)
                self._queue.clear()
                self.pending = 0
                if self._hub is not None:
                    self._hub.drained()
                await stream.write(pieces)
            if self._ended:
                return
            self._wake.clear()
            if self._queue or self._ended:
                continue
            await self._wake.wait()

    async def _input(self, stream: RawStream) -> None:
        assert self._hub is not None
        held = b""
        try:
            while data := await stream.read():
                if self._escape:
                    data, held, detached = scan_escape(held, data, self._escape)
                    if detached:
                        self._hub.send(data)
                        self.end()
                        return
                self._hub.send(data)
                await self._hub.room()
            self._hub.end_input()
        except ConnectionError:
            self._hub.end_input()


def detach_sequence(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` as bytes; empty means that default. InvalidParameter."""
    result = bytearray()
    for key in (text or "ctrl-p,ctrl-q").split(","):
        if len(key) == 1:
            result.append(ord(key))
        elif key.lower().startswith("ctrl-") and len(key) == 6:
            last = key[5].lower()
            if last.isalpha():
                result.append(ord(last) - 96)
            elif last in _KEYS:
                result.append(_KEYS[last])
            else:
                raise InvalidParameter(f"Invalid detach keys ({text}) provided")
        else:
            raise InvalidParameter(f"Invalid detach keys ({text}) provided")
    return bytes(result)


def scan_escape(held: bytes, data: bytes, sequence: bytes) -> tuple[bytes, bytes, bool]:
    """(what to pass on, what to hold back, whether the whole sequence was seen)."""
    text = held + data
    position = text.find(sequence)
    if position >= 0:
        return text[:position], b"", True
    for length in range(min(len(sequence) - 1, len(text)), 0, -1):
        if text.endswith(sequence[:length]):
            return text[:-length], text[-length:], False
    return text, b"", False


async def attach(core: Core, ref: str, options: AttachOptions) -> AttachSession:
    """A client of the container; the session is registered when this returns."""
    container = core.registry.get(ref)
    state = container.state
    if state.status == "paused":
        raise Conflict(f"container {container.id} is paused, unpause the container before attach")
    if state.status == "restarting":
        raise Conflict(f"container {container.id} is restarting, wait until the container is running")
    tty = container.config.tty
    detach_sequence(options.detach_keys)
    history = None
    if options.logs:
        wanted = LogsOptions(stdout=options.stdout, stderr=options.stderr)
        history = logging.read(core, container, wanted, ended=None, tty=tty or not options.framed)
    if not options.stream:
        return AttachSession(None, options, tty, False, None, history)
    stdin = options.stdin and container.config.open_stdin
    hub = core.hubs.get(container.id)
    if hub is None or hub.finished:
        hub = core.hubs[container.id] = Hub(core.paths.bundle(container.id))
    session = AttachSession(hub, options, tty, stdin, None, history)
    if state.alive:
        try:
            hub.connect()
        except OSError:      # it is ending at this moment
            hub.finish()
            core.hubs.pop(container.id, None)
    core.event(container, "attach")
    return session
