"""Points in time as users write them: RFC 3339 in part or whole, epoch seconds, or how long ago."""

from __future__ import annotations

import time

from solva.cli.errors import CommandError


def api_time(text: str, flag: str) -> str | None:
    """``text`` as the API takes it, epoch seconds with nanoseconds; None for none. CommandError when it is no time."""
    if not text:
        return None
    number = text.lstrip("-").replace(".", "", 1)
    if number.isdigit():
        return text
    from solva.cli.flags import parse_duration

    try:
        moment = time.time_ns() - parse_duration(text)
    except ValueError:
        moment = _absolute(text, flag)
    seconds, nanos = divmod(moment, 1_000_000_000)
    return f"{seconds}.{nanos:09d}"


def _absolute(text: str, flag: str) -> int:
    from datetime import datetime

    body, fraction = text, ""
    head, dot, tail = text.partition(".")
    if dot:
        digits = ""
        for char in tail:
            if not char.isdigit():
                break
            digits += char
        fraction, body = digits, head + tail[len(digits):]
    try:
        moment = datetime.fromisoformat(body)
    except ValueError:
        raise CommandError(f'invalid value for "{flag}": failed to parse value as time or duration: "{text}"') \
            from None
    return int(moment.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
