"""Sizes, durations, booleans and numbers as Compose reads and prints them."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h|d|w)")
_NANOSECONDS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
                "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000, "w": 604_800_000_000_000}
SECOND = 1_000_000_000
_INTEGER = re.compile(r"[+-]?\d+\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?((\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+)?|inf|infinity|nan)\Z",
                    re.ASCII | re.IGNORECASE)


def text(value: Any) -> str:
    """Values as Go's %v prints them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{text(value[key])}" for key in sorted(value)) + "]"
    return "[" + " ".join(map(text, value)) + "]" if isinstance(value, list) else str(value)


def float_text(value: float) -> str:
    """The shortest digits; an exponent below -4 or from 6 up is written out (``1e+06``)."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else ("+Inf" if value > 0 else "-Inf")
    if value == 0:
        return "-0" if str(value)[0] == "-" else "0"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    whole, _, rest = mantissa.partition(".")
    digits = (whole + rest).lstrip("0")
    power = int(exponent or 0) + (len(whole) - 1 if whole != "0" else len(digits) - len(rest) - 1)
    digits = digits.rstrip("0")
    if -4 <= power < 6:
        return sign + (f"0.{'0' * (-power - 1)}{digits}" if power < 0 else _pointed(digits, power + 1))
    return f"{sign}{_pointed(digits, 1)}e{'-' if power < 0 else '+'}{abs(power):02}"


def _pointed(digits: str, at: int) -> str:
    return digits.ljust(at, "0") if len(digits) <= at else f"{digits[:at]}.{digits[at:]}"


def size(value: Any) -> int:
    """Bytes of ``512m``, ``1.5g``, ``100``. ValueError in Docker's words."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"invalid size: '{value}'")
    if isinstance(value, int | float):
        return int(value)
    last = max((value.rfind(char) for char in "0123456789. "), default=-1)
    if last < 0:
        raise ValueError(f"invalid size: '{value}'")
    digits, suffix = value[: last + 1], value[last + 1:]
    if value[last] == " ":
        digits = value[:last]
    amount = number(digits)
    if amount < 0:
        raise ValueError(f"invalid size: '{value}'")
    if not suffix or suffix.lower() == "b":
        return int(amount)
    lower = suffix.lower()
    if lower[0] not in _POWERS or lower[1:] not in ("", "b", "ib"):
        raise ValueError(f"invalid suffix: '{lower}' in size '{value}' (units: b, k, m, g, t, p)")
    return int(amount * 1024.0 ** _POWERS[lower[0]])


def duration(value: Any) -> int:
    """Nanoseconds of ``1m30s``; a bare number is refused as Go does, except 0."""
    whole = str(value)
    body = whole[1:] if whole[:1] in ("+", "-") else whole
    if body == "0":
        return 0
    total = 0
    position = 0
    for found in _DURATION.finditer(body):
        if found.start() != position or not (found[1] or found[2]):
            break
        unit = _NANOSECONDS[found[3]]
        total += int(found[1] or 0) * unit
        if found[2]:
            total += int(int(found[2]) * (unit / 10 ** len(found[2])))
        position = found.end()
    if position != len(body) or not body:
        rest = body[position:]
        if re.fullmatch(r"\d+(\.\d*)?", rest):
            raise ValueError(f'time: missing unit in duration "{whole}" (as in 30s, 1m30s)')
        unknown = re.fullmatch(r"[\d.]+([^\d.]+).*", rest)
        if unknown is not None:
            raise ValueError(f'time: unknown unit "{unknown[1]}" in duration "{whole}"')
        raise ValueError(f'time: invalid duration "{whole}"')
    return -total if whole[0] == "-" else total


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


def boolean(word: str) -> bool:
    """``true`` and ``false``; YAML 1.1's other words too (see `old_boolean`)."""
    lower = word.lower()
    if lower in ("true", "yes", "y", "on"):
        return True
    if lower in ("false", "no", "n", "off"):
        return False
    raise ValueError(f"invalid boolean: {word}")


def old_boolean(word: str) -> bool:
    """Whether Compose takes ``word`` for a boolean and warns, since YAML 1.2 does not."""
    return word.lower() in ("yes", "y", "on", "no", "n", "off")


def integer(word: str, function: str = "Atoi") -> int:
    """Go's Atoi."""
    if not _INTEGER.match(word):
        raise ValueError(f'strconv.{function}: parsing "{word}": invalid syntax')
    value = int(word)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f'strconv.{function}: parsing "{word}": value out of range')
    return value


def integer64(word: str) -> int:
    """Go's ParseInt."""
    return integer(word, "ParseInt")


def number(word: str) -> float:
    """Go's ParseFloat."""
    if not _FLOAT.match(word):
        raise ValueError(f'strconv.ParseFloat: parsing "{word}": invalid syntax')
    return float(word)


def compact(value: float) -> int | float:
    """A number without a needless fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
