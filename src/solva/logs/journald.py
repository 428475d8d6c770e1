"""Driver ``journald``: entries over the journal's native protocol, with the fields that Docker's driver sets."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping

from solva.ids import new_id
from solva.logs.forward import Line
from solva.logs.options import Subject

SOCKET = "/run/systemd/journal/socket"
_ERROR, _INFO = "3", "6"


def enabled(path: str = SOCKET) -> bool:
    return os.path.exists(path)


class Journald:
    """See Sink."""

    def __init__(self, subject: Subject, tag: str, attributes: Mapping[str, str], path: str = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._ordinal = 0
        self._fields = {
            "CONTAINER_ID": subject.id, "CONTAINER_ID_FULL": subject.full_id, "CONTAINER_NAME": subject.name,
            "CONTAINER_TAG": tag, "IMAGE_NAME": subject.image, "SYSLOG_IDENTIFIER": tag,
            "CONTAINER_LOG_EPOCH": new_id(), **{field(key): value for key, value in attributes.items() if field(key)},
        }

    async def send(self, lines: list[Line]) -> None:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            made.setblocking(False)
            try:
                made.connect(self._path)
            except OSError:
                made.close()
                raise
            self._socket = made
        try:
            for line in lines:
                await asyncio.get_running_loop().sock_sendall(self._socket, self._entry(line))
        except OSError:
            self.close()
            raise

    def _entry(self, line: Line) -> bytes:
        self._ordinal += 1
        fields = {**self._fields, "PRIORITY": _ERROR if line.stream == 2 else _INFO,
                  "CONTAINER_LOG_ORDINAL": str(self._ordinal), "SYSLOG_TIMESTAMP": line.moment}
        if not line.whole:
            fields["CONTAINER_PARTIAL_MESSAGE"] = "true"
        result = b"".join(_pair(name, value.encode()) for name, value in fields.items())
        return result + _pair("MESSAGE", line.text)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _pair(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


def field(key: str) -> str:
    """A label's or variable's name as the journal takes names: capitals, digits and inner underscores."""
    return "".join(char.upper() if char.isascii() and char.isalnum() else "_" for char in key).lstrip("_")
