"""A namespace with loopback and nothing else."""

from __future__ import annotations

from typing import ClassVar

from solva.networks.drivers.bare import BareDriver


class NoneDriver(BareDriver):
    """See ``NetworkDriver``."""

    name: ClassVar[str] = "null"
