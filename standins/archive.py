"""An image as the archive that `docker load` reads: an OCI layout with Docker's manifest.json beside it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from standins.layers import EPOCH
from standins.oci import Image, digest_of, encode


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def save(image: Image, to: Path) -> None:
    """Write `image` with all its tags to the file `to`."""
    repository = image.repository.removeprefix("library/")
    names = [f"{repository}:{tag}" for tag in image.tags]
    documents = {
        "oci-layout": encode({"imageLayoutVersion": "1.0.0"}),
        _path(image.manifest.digest): image.manifest.content,
        "index.json": encode(
            {
                "schemaVersion": 2,
                "manifests": [
                    image.manifest.descriptor(annotations={"io.containerd.image.name": f"docker.io/library/{name}"})
                    for name in names
                ],
            }
        ),
        "manifest.json": encode(
            [
                {
                    "Config": _path(digest_of(image.config)),
                    "RepoTags": names,
                    "Layers": [_path(layer.digest) for layer in image.layers],
                }
            ]
        ),
    }
    with tarfile.open(to, "w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, size: int) -> tarfile.TarInfo:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = size, EPOCH, 0o644
            return info

        for digest, size, content in image.blobs():
            if isinstance(content, Path):
                with content.open("rb") as file:
                    tar.addfile(add(_path(digest), size), file)
            else:
                tar.addfile(add(_path(digest), size), io.BytesIO(content))
        for name, document in documents.items():
            tar.addfile(add(name, len(document)), io.BytesIO(document))
