"""Volumes on the wire (API v1.51): what a client sends."""

from __future__ import annotations

from typing import Any

import msgspec


class VolumeCreate(msgspec.Struct):
    """POST /volumes/create. An empty name asks for an anonymous volume."""

    Name: str = ""
    Driver: str = ""
    DriverOpts: dict[str, str] | None = None
    Labels: dict[str, str] | None = None
    ClusterVolumeSpec: dict[str, Any] | None = None
