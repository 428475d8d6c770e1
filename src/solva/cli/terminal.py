"""The terminal: raw mode, size, detach keys."""

from __future__ import annotations

import os

from solva.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

DEFAULT_DETACH = b"\x10\x11"  # ctrl-p, ctrl-q


class Detached(Exception):
    """The user typed the detach keys."""


class RawMode:
    """The terminal on ``number`` in raw mode while inside; nothing where it is no terminal."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._before: list[Any] | None = None

    def __enter__(self) -> RawMode:
        if os.isatty(self.number):
            import termios

            self._before = termios.tcgetattr(self.number)
            mode = termios.tcgetattr(self.number)
            mode[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR
                         | termios.IGNCR | termios.ICRNL | termios.IXON)
            mode[1] &= ~termios.OPOST
            mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
            mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self.number, termios.TCSANOW, mode)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(self.number, termios.TCSANOW, self._before)


def size(number: int = 1) -> tuple[int, int] | None:
    """(lines, columns) of the terminal on ``number``; None where it is none."""
    try:
        found = os.get_terminal_size(number)
    except OSError:
        return None
    return found.lines, found.columns


def detach_sequence(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` as the bytes typed; CommandError for a key that is none."""
    if not text:
        return DEFAULT_DETACH
    result = b""
    for key in text.split(","):
        if len(key) == 1:
            result += key.encode()
        elif key.startswith("ctrl-") and len(key) == 6 and (key[5].isalpha() or key[5] in "@[\\]^_"):
            result += bytes([ord(key[5].upper()) & 0x1F])
        else:
            raise CommandError(f"Error: Invalid detach keys ({text}) provided")
    return result


class DetachFilter:
    """Watches typed bytes for the detach sequence, and holds back what may be its beginning."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What to pass on; Detached when the sequence is complete."""
        result = b""
        for byte in data:
            candidate = self._held + bytes([byte])
            if self._sequence.startswith(candidate):
                self._held = candidate
                if candidate == self._sequence:
                    raise Detached
                continue
            result += self._held
            self._held = b""
            if self._sequence[:1] == bytes([byte]):
                self._held = bytes([byte])
            else:
                result += bytes([byte])
        return result


def check_tty(tty: bool, attach_stdin: bool) -> None:
    """Docker's refusal of ``-it`` with an input that is no terminal."""
    if tty and attach_stdin and not os.isatty(0):
        raise CommandError("the input device is not a TTY", 1)
