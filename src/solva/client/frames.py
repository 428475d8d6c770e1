"""Docker's multiplexed streams: 8 bytes of head (the stream's number, the length), then the bytes."""

from __future__ import annotations


def text(framed: bytes) -> str:
    """What both streams hold, in order; a stream without frames (of a terminal) as it is."""
    parts = []
    rest = framed
    while len(rest) >= 8 and rest[0] in (0, 1, 2) and rest[1:4] == b"\0\0\0":
        size = int.from_bytes(rest[4:8], "big")
        parts.append(rest[8: 8 + size])
        rest = rest[8 + size:]
    return (b"".join(parts) if parts else framed).decode(errors="replace")
