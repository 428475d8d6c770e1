"""Sizes, durations, booleans and numbers as Compose reads and prints them."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIZE = re.compile(r"(-?\d+(?:\.\d+)?)\s*([kKmMgGtTpP])?[iI]?[bB]?\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_NANOSECONDS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
                "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000, "w": 604_800_000_000_000}
SECOND = 1_000_000_000


def size(value: Any) -> int:
    """Bytes of ``512m``, ``1.5g``, ``100``. ValueError in Docker's words."""
    if isinstance(value, bool):
        raise ValueError(f"invalid size: '{value}'")
    if isinstance(value, int | float):
        return int(value)
    found = _SIZE.match(value.strip())
    if found is None:
        raise ValueError(f"invalid size: '{value}'")
    return int(float(found[1]) * 1024 ** _POWERS[(found[2] or "").lower()])


def duration(value: Any) -> int:
    """Nanoseconds of ``1m30s``; a bare number is refused as Go does, except 0."""
    text = str(value)
    body = text.lstrip("+-")
    if body == "0":
        return 0
    total = 0.0
    position = 0
    for found in _DURATION.finditer(body):
        if found.start() != position:
            break
        total += float(found[1]) * _NANOSECONDS[found[2]]
        position = found.end()
    if position != len(body) or not body:
        if re.fullmatch(r"\d+(\.\d*)?", body):
            raise ValueError(f'time: missing unit in duration "{text}"')
        raise ValueError(f'time: invalid duration "{text}"')
    return round(-total if text[0] == "-" else total)


def show_duration(nanoseconds: int) -> str:
    """Go's way of printing a duration: ``1m30s``, ``2h0m0s``, ``1.5s``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    left = abs(nanoseconds)
    if left < SECOND:
        for unit, name in ((1_000_000, "ms"), (1_000, "µs"), (1, "ns")):
            if left >= unit:
                return f"{sign}{_fraction(left, unit)}{name}"
    hours, left = divmod(left, 3600 * SECOND)
    minutes, left = divmod(left, 60 * SECOND)
    seconds = _fraction(left, SECOND)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def _fraction(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(unit)) - 1, '0').rstrip('0')}"


def boolean(text: str) -> bool:
    """YAML 1.1's words."""
    lower = text.lower()
    if lower in ("true", "yes", "y", "on", "1", "t"):
        return True
    if lower in ("false", "no", "n", "off", "0", "f"):
        return False
    raise ValueError(f"invalid boolean: {text}")


def integer(text: str) -> int:
    """Go's Atoi."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax') from None


def integer64(text: str) -> int:
    """Go's ParseInt."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def number(text: str) -> float:
    """Go's ParseFloat."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax') from None


def compact(value: float) -> int | float:
    """A number without a needless fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
