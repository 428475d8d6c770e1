"""Parsing of driver options, with Docker's error texts."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

from solva.errors import InvalidParameter

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}


def boolean(options: Mapping[str, str], key: str, default: bool) -> bool:
    """As Go's ParseBool."""
    value = options.get(key)
    if value is None:
        return default
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidParameter(f'failed to parse {key} value: {value} (strconv.ParseBool: parsing "{value}": '
                           "invalid syntax)")


def unknown(options: Mapping[str, str], known: Collection[str], driver: str) -> tuple[str, ...]:
    """A warning for each option that the driver does not know. Docker passes over them in silence; what belongs to
    another engine (a label with a dot in front of a name of its own) is no less unknown."""
    return tuple(f"driver {driver} has no option {key}: it has no effect" for key in options if key not in known)


def number(options: Mapping[str, str], key: str, default: int) -> int:
    """As Go's Atoi."""
    value = options.get(key)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise InvalidParameter(
            f'failed to parse {key} value: {value} (strconv.Atoi: parsing "{value}": invalid syntax)') from None


def address(options: Mapping[str, str], key: str) -> str:
    """An IP address, "" for none."""
    value = options.get(key, "")
    if value:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise InvalidParameter(f"failed to parse {key} value: {value} (nil ip)") from None
    return value
