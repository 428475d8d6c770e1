"""The whole examination."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from solva.doctor import kernel, machine
from solva.doctor.model import Check

_ORDER = ("kernel", "drivers", "firewall", "storage", "control groups", "security", "programs")
DEFAULT_DATA = Path("/var/lib/solva")


def examine(data_root: Path = DEFAULT_DATA) -> list[dict[str, Any]]:
    """Every check as an object of the API, in the order to read them. Blocks for some tenths of a second."""
    return [check.wire() for check in sorted(_all(data_root), key=lambda check: _ORDER.index(check.group))]


def _all(data_root: Path) -> Iterable[Check]:
    version = os.uname()
    yield Check("kernel", "version", "ok", f"{version.sysname} {version.release} {version.machine}")
    if os.geteuid() != 0:
        yield Check("kernel", "privileges", "limited", "not root: what the kernel can do was not tried", "this check",
                    "sudo solva doctor")
    else:
        yield from kernel.checks(data_root)
    yield from machine.checks(data_root)
