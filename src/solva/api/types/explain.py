"""Bodies of the ``/solva`` endpoints."""

from __future__ import annotations

import msgspec


class NameServerSettings(msgspec.Struct, rename="pascal"):
    """``POST /solva/dns``."""

    query_log: bool
