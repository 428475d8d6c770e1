"""Images as the engine keeps them and as other services see them."""

from dataclasses import dataclass
from typing import Any

import msgspec

IMAGE_KIND = "image"
REFERENCE_KIND = "reference"


class StoredImage(msgspec.Struct, frozen=True):
    """One image; its configuration is the blob ``id``. Times in nanoseconds, 0 never."""

    id: str
    parent: str = ""
    last_tag: int = 0
    oci: bool = False           # came with an OCI manifest


class StoredReference(msgspec.Struct, frozen=True):
    """A full reference (with tag or digest) and what it names."""

    reference: str
    image_id: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """``id`` is the digest of ``config``; ``chain`` bottom first; tags and digests in their familiar form."""

    id: str
    config: dict[str, Any]
    chain: tuple[str, ...]
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    size: int
    created: str
    parent: str = ""
    last_tag: int = 0


def diff_ids(config: dict[str, Any]) -> list[str]:
    """The layers a configuration names, bottom first."""
    return list((config.get("rootfs") or {}).get("diff_ids") or [])
