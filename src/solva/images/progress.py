"""Docker's progress objects, field by field: clients draw from them."""

import time
from collections.abc import Callable
from typing import Any

Progress = Callable[[dict[str, Any]], None]
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_INTERVAL = 0.1


def human_size(size: float) -> str:
    """Four significant digits, powers of 1000."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.4g}{_UNITS[unit]}"


def bar(current: int, total: int) -> str:
    """The deprecated text form, which old clients still print."""
    if total <= 0 or current > total:
        return f"{human_size(current):>8}"
    done = min(50, int(current / total * 100) // 2)
    return f"[{'=' * done}>{' ' * (50 - done)}] {human_size(current):>8}/{human_size(total)}"


def retrying(emit: Progress) -> Callable[[int], None]:
    """Tells that a registry is asked again, after so many seconds."""
    return lambda seconds: emit({"status": f"Retrying in {seconds} second{'' if seconds == 1 else 's'}"})


class LayerProgress:
    """Lines of one layer; amounts ten times a second at most."""

    def __init__(self, emit: Progress, short_id: str) -> None:
        self._emit = emit
        self._id = short_id
        self._next = 0.0

    def status(self, text: str) -> None:
        self._emit({"status": text, "progressDetail": {}, "id": self._id})

    def retrying(self, seconds: int) -> None:
        self.status(f"Retrying in {seconds} second{'' if seconds == 1 else 's'}")

    def amount(self, text: str, current: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next and current < total:
            return
        self._next = now + _INTERVAL
        self._emit({"status": text, "progressDetail": {"current": current, "total": total},
                    "progress": bar(current, total), "id": self._id})
