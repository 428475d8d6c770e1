"""The host's own namespace: no interface is made."""

from __future__ import annotations

from typing import ClassVar

from solva.networks.drivers.bare import BareDriver


class HostDriver(BareDriver):
    """See ``NetworkDriver``."""

    name: ClassVar[str] = "host"
