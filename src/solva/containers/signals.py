"""Signals by name or number."""

from __future__ import annotations

import signal

from solva.errors import InvalidParameter

_NAMES = {item.name.removeprefix("SIG"): int(item) for item in signal.Signals}
_NAMES |= {f"RTMIN+{step}": int(signal.SIGRTMIN) + step for step in range(1, 16)}
_NAMES |= {f"RTMAX-{step}": int(signal.SIGRTMAX) - step for step in range(1, 15)}


def number(text: str) -> int:
    """``SIGTERM``, ``term`` or ``15``. InvalidParameter."""
    if text.isdigit():
        value = int(text)
        if 1 <= value <= 64:
            return value
        raise InvalidParameter(f"invalid signal: {text}")
    try:
        return _NAMES[text.upper().removeprefix("SIG")]
    except KeyError:
        raise InvalidParameter(f"invalid signal: {text}") from None
