"""Standard streams across a hijacked connection: attach, run, exec. One poll loop, no threads."""

from __future__ import annotations

import os
import select

from solva.cli import posix
from solva.cli.terminal import DetachFilter, RawMode, detach_sequence, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from solva.client.transport import Connection

# What kills or stops this process must not be swallowed; the rest of these go to the container.
_FORWARDED = ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "IO", "PWR", "VTALRM", "XCPU", "XFSZ")


def write_all(number: int, data: bytes) -> None:
    """All of ``data`` to a file descriptor."""
    while data:
        try:
            data = data[os.write(number, data):]
        except BlockingIOError:
            select.select([], [number], [])


class Demultiplexer:
    """Takes a multiplexed stream apart: 8-byte heads, then standard output or error."""

    def __init__(self, out: Callable[[bytes], None], err: Callable[[bytes], None]) -> None:
        self._buffer = b""
        self._left = 0
        self._to = out
        self._out = out
        self._err = err

    def feed(self, data: bytes) -> None:
        """Pass on whatever is complete of ``data``."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        while data:
            if not self._left:
                if len(data) < 8:
                    self._buffer = data
                    return
                self._to = self._err if data[0] == 2 else self._out
                self._left = int.from_bytes(data[4:8], "big")
                data = data[8:]
                continue
            piece, data = data[:self._left], data[self._left:]
            self._left -= len(piece)
            self._to(piece)


class Signals:
    """Signals of this process as bytes on a pipe, while inside."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._numbers = [posix.NUMBERS[name] for name in names]
        self._before: list[tuple[int, object]] = []
        self.fd = -1
        self._write = -1

    def __enter__(self) -> Signals:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        self._old_wakeup = posix.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._numbers:
            self._before.append((number, posix.handle(number, _ignore)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            posix.handle(number, handler)  # type: ignore[arg-type]  # what handle() itself returned
        posix.set_wakeup_fd(self._old_wakeup)
        os.close(self.fd)
        os.close(self._write)

    def take(self) -> bytes:
        """The numbers of signals that came."""
        try:
            return os.read(self.fd, 256)
        except BlockingIOError:
            return b""


def _ignore(number: int, frame: object) -> None:
    """The wake-up pipe says all there is to say."""


class Pump:
    """Moves bytes between this process's streams and a container's until the connection ends.

    ``on_signal(name)`` and ``on_resize(lines, columns)`` are called from the loop; None leaves signals alone.
    """

    def __init__(self, connection: Connection, *, tty: bool, stdin: bool, stdout: bool = True, stderr: bool = True,
                 detach_keys: str = "", on_signal: Callable[[str], None] | None = None,
                 on_resize: Callable[[int, int], None] | None = None) -> None:
        self.connection = connection
        self.tty = tty
        self.stdin = stdin
        self.on_signal = on_signal
        self.on_resize = on_resize if tty else None
        self._detach = DetachFilter(detach_sequence(detach_keys)) if tty and stdin else None
        if tty:
            self._feed: Callable[[bytes], None] = lambda data: write_all(1, data)
        else:
            nowhere: Callable[[bytes], None] = lambda data: None  # noqa: E731
            self._feed = Demultiplexer(
                (lambda data: write_all(1, data)) if stdout else nowhere,
                (lambda data: write_all(2, data)) if stderr else nowhere,
            ).feed

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Pump until the other side ends; ``started`` is called first, inside raw mode and with signals caught.

        Raises terminal.Detached when the user typed the detach keys.
        """
        names: tuple[str, ...] = _FORWARDED if self.on_signal is not None else ()
        if self.on_resize is not None:
            names += ("WINCH",)
        if not names:
            with RawMode(0 if self.tty and self.stdin else -1):
                self._loop(None, started)
            return
        with Signals(names) as signals, RawMode(0 if self.tty and self.stdin else -1):
            self._loop(signals, started)

    def _loop(self, signals: Signals | None, started: Callable[[], None] | None) -> None:
        if started is not None:
            started()
        poll = select.poll()
        sock = self.connection.sock
        wire = sock.fileno()
        if self.connection.buffer:
            self._feed(self.connection.buffer)
            self.connection.buffer = b""
        poll.register(wire, select.POLLIN)
        if self.stdin:
            poll.register(0, select.POLLIN)
        if signals is not None:
            poll.register(signals.fd, select.POLLIN)
        while True:
            for number, _ in poll.poll():
                if number == wire:
                    try:
                        data = sock.recv(1 << 18)
                    except ConnectionError:
                        data = b""
                    if not data:
                        return
                    self._feed(data)
                elif number == 0:
                    if not self._input():
                        poll.unregister(0)
                elif signals is not None:
                    for signal in signals.take():
                        self._signalled(signal)

    def _input(self) -> bool:
        """Pass on typed bytes; False at their end."""
        try:
            data = os.read(0, 1 << 16)
        except OSError:
            data = b""
        if not data:
            self.connection.half_close()
            return False
        if self._detach is not None:
            data = self._detach.feed(data)
        try:
            self.connection.sock.sendall(data)
        except ConnectionError:
            return False
        return True

    def _signalled(self, number: int) -> None:
        if number == posix.SIGWINCH:
            window = size()
            if self.on_resize is not None and window is not None:
                self.on_resize(*window)
        elif self.on_signal is not None:
            self.on_signal(posix.NAMES[number])
