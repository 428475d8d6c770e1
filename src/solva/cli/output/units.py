"""Sizes and times as Docker prints them."""

from __future__ import annotations

import time

from solva.text import human_duration

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def _scaled(size: float, base: float, names: tuple[str, ...], digits: int) -> str:
    index = 0
    while size >= base and index < len(names) - 1:
        size /= base
        index += 1
    return f"{_general(size, digits)}{names[index]}"


def _general(value: float, digits: int) -> str:
    """Go's %.Ng: like Python's, but for the exponent's form."""
    return f"{value:.{digits}g}"


def human_size(size: float, digits: int = 3) -> str:
    """Decimal units with ``digits`` significant digits: ``1.98MB``."""
    return _scaled(float(size), 1000.0, _DECIMAL, digits)


def binary_size(size: float) -> str:
    """Binary units with four significant digits: ``23.52GiB``."""
    return _scaled(float(size), 1024.0, _BINARY, 4)


def ago(created: float) -> str:
    """How long ago an epoch time was; ``N/A`` for none."""
    if created <= 0:
        return "N/A"
    return f"{human_duration(time.time() - created)} ago"


def local_time(created: float) -> str:
    """An epoch time as Go's Time.String prints it: ``2026-11-24 00:02:08 +0000 UTC``."""
    moment = time.localtime(created)
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", moment)


def epoch(stamp: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0 for Go's zero time or none."""
    if not stamp or stamp.startswith("0001-"):
        return 0.0
    from solva.clock import parse_rfc3339

    return parse_rfc3339(stamp) / 1_000_000_000


def go_time(stamp: str) -> str:
    """An RFC 3339 time in UTC as Go's Time.String prints it."""
    return f"{stamp[:-1].replace('T', ' ')} +0000 UTC" if stamp.endswith("Z") else stamp


def ellipsis(text: str, limit: int) -> str:
    """At most ``limit`` characters, the last one ``…`` when some were cut."""
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…" if limit > 1 else text[:limit]


def short_id(identifier: str) -> str:
    """Twelve digits, without the algorithm."""
    return identifier.partition(":")[2][:12] if ":" in identifier else identifier[:12]
