"""Points at which a test lets the engine die as by ``kill -9``. Inert unless SOLVA_FAULT is set.

SOLVA_FAULT is the name of a point, or ``@FILE`` with the name in it, read anew each time: so one engine can be told
later where to die.
"""

from __future__ import annotations

import os
import signal

_WANTED = os.environ.get("SOLVA_FAULT", "")


def point(name: str) -> None:
    """Dies here if SOLVA_FAULT is this name."""
    if _WANTED and name == _wanted():
        os.kill(os.getpid(), signal.SIGKILL)


def _wanted() -> str:
    if not _WANTED.startswith("@"):
        return _WANTED
    try:
        with open(_WANTED[1:]) as file:
            return file.read().strip()
    except OSError:
        return ""
