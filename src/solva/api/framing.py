"""Docker's frame of a stream without a tty: 8 bytes of header (stream, 0, 0, 0, big-endian length), then data."""

import struct

STDIN, STDOUT, STDERR = 0, 1, 2
_HEADER = struct.Struct(">BxxxI")


def frame(stream: int, data: bytes) -> bytes:
    """One frame; ``stream`` is STDOUT or STDERR."""
    return _HEADER.pack(stream, len(data)) + data
