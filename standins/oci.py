"""Image configurations, manifests and indexes, in Docker's media types and in those of the OCI."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from standins.layers import EPOCH, Layer

Flavour = Literal["docker", "oci"]
CREATED = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

_TYPES: Mapping[Flavour, Mapping[str, str]] = {
    "docker": {
        "manifest": "application/vnd.docker.distribution.manifest.v2+json",
        "index": "application/vnd.docker.distribution.manifest.list.v2+json",
        "config": "application/vnd.docker.container.image.v1+json",
        "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    },
    "oci": {
        "manifest": "application/vnd.oci.image.manifest.v1+json",
        "index": "application/vnd.oci.image.index.v1+json",
        "config": "application/vnd.oci.image.config.v1+json",
        "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
        "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    },
}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def this_architecture() -> str:
    """This machine's architecture as image configurations name it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index: bytes with a media type."""

    content: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return digest_of(self.content)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "size": len(self.content), "digest": self.digest, **more}


@dataclass(frozen=True, slots=True)
class Image:
    """Everything a registry needs to serve an image."""

    repository: str  # library/mongo
    tags: tuple[str, ...]
    config: bytes
    layers: tuple[Layer, ...]
    manifest: Document
    index: Document | None = None

    @property
    def top(self) -> Document:
        """What a tag points to."""
        return self.index or self.manifest

    def blobs(self) -> list[tuple[str, int, bytes | Path]]:
        """(digest, size, content) of the layers, lowest first, and of the configuration."""
        found: list[tuple[str, int, bytes | Path]] = [
            (layer.digest, layer.size, layer.path) for layer in self.layers
        ]
        found.append((digest_of(self.config), len(self.config), self.config))
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """The `config` part of an image configuration, and how it is told in the history."""

    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    workdir: str = ""
    ports: Sequence[str] = ()
    volumes: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        made: dict[str, Any] = {"Env": [f"{name}={value}" for name, value in self.env.items()]}
        if self.entrypoint:
            made["Entrypoint"] = list(self.entrypoint)
        if self.cmd:
            made["Cmd"] = list(self.cmd)
        if self.workdir:
            made["WorkingDir"] = self.workdir
        if self.ports:
            made["ExposedPorts"] = {port: {} for port in self.ports}
        if self.volumes:
            made["Volumes"] = {volume: {} for volume in self.volumes}
        if self.labels:
            made["Labels"] = dict(sorted(self.labels.items()))
        return made

    def instructions(self) -> list[str]:
        """The lines that `docker history` shows for what made no layer."""
        lines = [f"ENV {name}={value}" for name, value in self.env.items()]
        if self.volumes:
            lines.append(f"VOLUME [{' '.join(self.volumes)}]")
        if self.workdir:
            lines.append(f"WORKDIR {self.workdir}")
        if self.entrypoint:
            lines.append(f"ENTRYPOINT {json.dumps(list(self.entrypoint))}")
        lines += [f"EXPOSE map[{port}:{{}}]" for port in self.ports]
        if self.cmd:
            lines.append(f"CMD {json.dumps(list(self.cmd))}")
        return lines


def image_config(settings: Settings, layers: Sequence[tuple[Layer, str]]) -> bytes:
    """The image configuration; `layers` are (layer, what made it), lowest first."""
    history: list[dict[str, Any]] = [{"created": CREATED, "created_by": how} for _, how in layers]
    history += [
        {"created": CREATED, "created_by": line, "empty_layer": True} for line in settings.instructions()
    ]
    return encode(
        {
            "architecture": this_architecture(),
            "os": "linux",
            "created": CREATED,
            "config": settings.config(),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer, _ in layers]},
            "history": history,
        }
    )


def make_image(
    repository: str,
    tags: Sequence[str],
    settings: Settings,
    layers: Sequence[tuple[Layer, str]],
    flavour: Flavour = "docker",
    with_index: bool = False,
) -> Image:
    """Put an image together; `with_index` makes its tags point to an index (a manifest list)."""
    types = _TYPES[flavour]
    for layer, _ in layers:
        if layer.compression not in types:
            raise ValueError(f"{repository}: Docker's media types know no {layer.compression} layer")
    config = image_config(settings, layers)
    manifest = Document(
        encode(
            {
                "schemaVersion": 2,
                "mediaType": types["manifest"],
                "config": {"mediaType": types["config"], "size": len(config), "digest": digest_of(config)},
                "layers": [
                    {"mediaType": types[layer.compression], "size": layer.size, "digest": layer.digest}
                    for layer, _ in layers
                ],
            }
        ),
        types["manifest"],
    )
    index = None
    if with_index:
        where = {"architecture": this_architecture(), "os": "linux"}
        index = Document(
            encode(
                {
                    "schemaVersion": 2,
                    "mediaType": types["index"],
                    "manifests": [manifest.descriptor(platform=where)],
                }
            ),
            types["index"],
        )
    return Image(repository, tuple(tags), config, tuple(layer for layer, _ in layers), manifest, index)
