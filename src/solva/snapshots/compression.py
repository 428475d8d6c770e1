"""Streams of layers: which compression by the first bytes, and reading them decompressed, whole in memory never."""

from __future__ import annotations

import io

TYPE_CHECKING = False      # typing and collections would be a third of the unpacking process's start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BUFFER = 1 << 18
GZIP, ZSTD, BZIP2, XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0"


class CompressionError(Exception):
    """The compressed stream is damaged or cut short."""


class _Peeked(io.RawIOBase):
    """The source again, with the bytes already looked at in front."""

    def __init__(self, head: bytes, source: io.RawIOBase) -> None:
        self._head = head
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int | None:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        return self._source.readinto(view)


def name_of(head: bytes) -> str:
    """``gzip``, ``zstd``, ``bzip2``, ``xz`` or ``""`` for none."""
    if head.startswith(GZIP):
        return "gzip"
    if head.startswith(ZSTD) or (len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        return "zstd"
    if head.startswith(BZIP2):
        return "bzip2"
    if head.startswith(XZ):
        return "xz"
    return ""


def reader(source: io.RawIOBase) -> Callable[[int], bytes]:
    """``read(n)`` over the decompressed stream; CompressionError when it is damaged. Several members are one stream."""
    head = b""
    while len(head) < 6:
        piece = source.read(6 - len(head))
        if not piece:
            break
        head += piece
    peeked: Any = _Peeked(head, source)
    kind = name_of(head)
    if kind == "":
        return lambda count: peeked.read(count) or b""
    read: Callable[[int], bytes]
    failures: tuple[type[Exception], ...]
    if kind == "gzip":
        from isal import isal_zlib

        raw = isal_zlib._GzipReader(peeked, _BUFFER)
        damaged: Any = isal_zlib.error
        read, failures = raw.read, (damaged, EOFError, OSError)
    elif kind == "zstd":
        import zstandard

        read = zstandard.ZstdDecompressor().stream_reader(peeked, read_size=_BUFFER, read_across_frames=True).read
        failures = (zstandard.ZstdError,)
    elif kind == "bzip2":
        import bz2

        file = bz2.BZ2File(io.BufferedReader(peeked))
        read, failures = file.read, (OSError, EOFError)
    else:
        import lzma

        archive = lzma.LZMAFile(io.BufferedReader(peeked))  # noqa: SIM115 - the stream's end is the file's end
        read, failures = archive.read, (lzma.LZMAError, EOFError)

    def checked(count: int) -> bytes:
        try:
            return bytes(read(count))
        except failures as error:
            raise CompressionError(f"{kind}: {error}") from error

    return checked
