"""Durations as Go writes them: ``1h2m3.5s``, ``300ms``."""

import re

from solva.errors import InvalidParameter

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9,
          "h": 3600 * 10**9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse(text: str) -> int:
    """Nanoseconds. InvalidParameter in Go's words."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    total = 0
    index = 0
    while index < len(body):
        match = _PART.match(body, index)
        if match is None:
            break
        whole, _, fraction = match[1].partition(".")
        unit = _UNITS[match[2]]
        total += int(whole or 0) * unit + (int(fraction[:18]) * unit // 10 ** len(fraction[:18]) if fraction else 0)
        index = match.end()
    if not body or index < len(body):
        rest = body[index:]
        if re.fullmatch(r"\d+(\.\d*)?", rest):
            raise InvalidParameter(f'time: missing unit in duration "{text}"')
        raise InvalidParameter(f'time: invalid duration "{text}"')
    if total >= 1 << 63:
        raise InvalidParameter(f'time: invalid duration "{text}"')
    return -total if text.startswith("-") else total


def show(value: int) -> str:
    """``value`` nanoseconds in Go's form."""
    if value == 0:
        return "0s"
    if value < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if value >= size:
                return f"{_decimal(value, size)}{unit}"
    minutes, rest = divmod(value, 60 * 10**9)
    seconds = f"{_decimal(rest, 10**9)}s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{seconds}"


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(size)) - 1, '0').rstrip('0')}"
