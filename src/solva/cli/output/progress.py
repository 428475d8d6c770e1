"""Docker's stream of progress messages: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys

from solva.cli.errors import CommandError
from solva.cli.output.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO


def show_stream(messages: Iterable[dict[str, Any]], out: TextIO | None = None,
                aux: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Print ``messages`` as they come; CommandError for one that is an error."""
    stream = out if out is not None else sys.stdout
    screen = _Screen(stream) if stream.isatty() else None
    try:
        for message in messages:
            if "error" in message or "errorDetail" in message:
                detail = message.get("errorDetail") or {}
                raise CommandError(str(detail.get("message") or message.get("error")), _status(detail))
            if message.get("aux") is not None:
                if aux is not None:
                    aux(message["aux"])
                continue
            if screen is not None:
                screen.show(message)
            else:
                _plain(stream, message)
    finally:
        stream.flush()


def _status(detail: dict[str, Any]) -> int:
    code = detail.get("code")
    return int(code) if isinstance(code, int) and 0 < code < 256 else 1


def printable(text: str) -> str:
    """``text`` without control characters other than line breaks, tabs and colours."""
    if all(char.isprintable() or char in "\n\t\r" for char in text):
        return text
    result, index = "", 0
    while index < len(text):
        char = text[index]
        if char == "\x1b":
            end = index + 2
            while text[index + 1:index + 2] == "[" and end < len(text) and text[end] in "0123456789;":
                end += 1
            if text[index + 1:index + 2] == "[" and text[end:end + 1] == "m":
                result += text[index:end + 1]
            index = end + 1 if text[index + 1:index + 2] == "[" else index + 1
            continue
        result += char if char.isprintable() or char in "\n\t\r" else "?"
        index += 1
    return result


def _plain(stream: TextIO, message: dict[str, Any]) -> None:
    if message.get("stream"):
        stream.write(printable(message["stream"]))
        return
    if bar_text(message.get("progressDetail") or {}, 80):
        return  # bars are for terminals
    text = message.get("status")
    if text is None:
        return
    prefix = f"{message['id']}: " if message.get("id") else ""
    stream.write(printable(f"{prefix}{text}") + "\n")
    stream.flush()


def bar_text(detail: dict[str, Any], width: int) -> str:
    """``[====>    ]  1.2MB/4.3MB``; ``""`` when there is nothing to measure."""
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if current <= 0 and total <= 0:
        return ""
    unit = detail.get("units") or ""
    if unit:
        return f"{current}/{total} {unit}" if total > 0 else f"{current} {unit}"
    if total <= 0:
        return f"{human_size(current, 4):>8}"
    current = min(current, total) if detail.get("hidecounts") else current
    percent = min(int(current / total * 50), 50)
    box = ""
    if width > 110 or width >= 80:
        head = "=" * percent + (">" if percent < 50 else "")
        box = f"[{head}{' ' * (50 - percent - 1) if percent < 50 else ''}] "
    return f"{box}{human_size(current, 4):>8}/{human_size(total, 4)}" if current <= total else f"{box}" \
        f"{human_size(current, 4):>8}"


class _Screen:
    """A line for each id, rewritten in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: dict[str, int] = {}

    def show(self, message: dict[str, Any]) -> None:
        if message.get("stream"):
            self._lines.clear()
            self._stream.write(printable(message["stream"]))
            return
        text = message.get("status")
        if text is None:
            return
        identifier = str(message.get("id") or "")
        width = self._width()
        line = f"{identifier}: {text}" if identifier else text
        bar = bar_text(message.get("progressDetail") or {}, width)
        if bar:
            line = f"{line} {bar}"
        line = printable(line)[:width]
        if not identifier:
            self._stream.write(f"{line}\n" if not bar else f"\r\x1b[2K{line}")
            self._lines.clear()
            self._stream.flush()
            return
        if identifier not in self._lines:
            self._lines[identifier] = len(self._lines)
            self._stream.write(f"{line}\n")
        else:
            up = len(self._lines) - self._lines[identifier]
            self._stream.write(f"\x1b[{up}A\r\x1b[2K{line}\r\x1b[{up}B")
        self._stream.flush()

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            return 80
