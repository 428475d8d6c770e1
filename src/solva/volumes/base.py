"""What a volume driver is: where volumes are made and mounted. Names, labels and users are the service's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """A volume as its driver knows it. ``created``: RFC 3339, "" where the driver does not say."""

    name: str
    mountpoint: str = ""
    created: str = ""
    status: dict[str, Any] | None = None


class VolumeDriver(Protocol):
    """``name``: as in the API; ``scope``: local, or global for one whose volumes every host has."""

    @property
    def name(self) -> str: ...

    @property
    def scope(self) -> str: ...

    def check(self, name: str, options: dict[str, str]) -> None:
        """InvalidParameter for a name or an option that cannot be."""
        ...

    async def create(self, name: str, options: dict[str, str] | None) -> None: ...

    async def remove(self, name: str, options: dict[str, str] | None) -> None: ...

    async def mount(self, name: str, options: dict[str, str] | None, user: str) -> Path:
        """The directory to bind into ``user``'s root."""
        ...

    async def unmount(self, name: str, options: dict[str, str] | None, user: str, *, last: bool) -> None:
        """``user`` needs it no longer; ``last``: nobody known does. Fine when it is not mounted."""
        ...

    async def get(self, name: str) -> Found | None:
        """None when the driver has no such volume."""
        ...
