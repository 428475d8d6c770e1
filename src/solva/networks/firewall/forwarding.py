"""IP forwarding: turned on where it was off, without turning the machine into a router for its neighbours.

Forwarding is a property of the machine. Docker, when it turns it on, drops everything else that is forwarded, also what
other programs set up later. Here only the interfaces that were there when it was off are remembered, for as long as
the machine runs, and nothing is forwarded from one of them to another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from solva.kernel import sysctl

_SWITCH = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Forwarding:
    """``path``: where the guarded interfaces are kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guarded: dict[str, list[str]] = {}
        boot = _BOOT_ID.read_text().strip()
        try:
            kept = json.loads(path.read_text())
            if kept.get("boot") == boot:
                self._guarded = kept["guarded"]
        except (OSError, ValueError, KeyError):
            pass
        self._boot = boot

    @property
    def guarded(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Interfaces for IPv4 and for IPv6."""
        return tuple(self._guarded.get("4", ())), tuple(self._guarded.get("6", ()))

    def enable(self, version: int, interfaces: Iterable[str]) -> bool:
        """Turn forwarding on if it is off; True when it was. ``interfaces``: those of the machine that are not ours."""
        if sysctl.read(_SWITCH[version]) != "0":
            return False
        names = sorted(interfaces)
        if version == 6:
            self._keep_router_advertisements(names)
        self._guarded[str(version)] = names
        self._path.write_text(json.dumps({"boot": self._boot, "guarded": self._guarded}))
        sysctl.write(_SWITCH[version], "1")
        return True

    def _keep_router_advertisements(self, interfaces: Iterable[str]) -> None:
        """A router ignores them; a host that lives by them would lose its addresses and its default route."""
        for name in interfaces:
            if sysctl.read(f"ipv6/conf/{name}/accept_ra") == "1":
                sysctl.write(f"ipv6/conf/{name}/accept_ra", "2")
