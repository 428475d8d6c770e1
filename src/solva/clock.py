"""Time, passed in by constructor so that tests can own it."""

import time
from datetime import UTC, datetime
from typing import Protocol

ZERO_TIME = "0001-01-01T00:00:00Z"


class Clock(Protocol):
    """A source of time."""

    def time_ns(self) -> int:
        """Wall clock, nanoseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never steps back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def time_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()


def rfc3339(ns: int) -> str:
    """``ns`` since the epoch as Docker writes times: UTC, nanoseconds, ``Z``. 0 is Docker's zero time."""
    if ns == 0:
        return ZERO_TIME
    seconds, fraction = divmod(ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{fraction:09d}Z"


def parse_rfc3339(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time with up to nine fractional digits."""
    head, _, tail = text.partition(".")
    if tail:
        digits = ""
        for char in tail:
            if not char.isdigit():
                break
            digits += char
        zone = tail[len(digits):]
        fraction = int(digits.ljust(9, "0")[:9] or 0)
    else:
        body = text[:19]
        head, zone, fraction = body, text[19:], 0
    moment = datetime.fromisoformat(head + (zone.replace("Z", "+00:00") or "+00:00"))
    seconds = int(moment.timestamp())
    if seconds < -62_000_000_000:
        return 0
    return seconds * 1_000_000_000 + fraction
