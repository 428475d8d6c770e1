"""Manifests: Docker schema 2, OCI, and lists of them; the choice of a platform."""

import json
from dataclasses import dataclass
from typing import Any

from solva.errors import InvalidParameter, NotFound, SystemFailure

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
ACCEPT = ", ".join((DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX))
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6", "i686": "386",
             "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64", "loongarch64": "loong64"}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to a blob."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image's manifest. ``layers`` bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str


@dataclass(frozen=True, slots=True)
class Platform:
    """``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}" + (f"/{self.variant}" if self.variant else "")


def host_platform() -> Platform:
    """This machine."""
    import os

    architecture, _, variant = _MACHINES.get(os.uname().machine, os.uname().machine).partition("/")
    return Platform("linux", architecture, variant)


def parse_platform(text: str) -> Platform:
    """``linux/arm64/v8``, ``arm64``, ``""`` (this machine). InvalidParameter."""
    if not text:
        return host_platform()
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(part.replace("-", "").replace(".", "").replace("_", "").isalnum() for part in parts):
        raise InvalidParameter(f'"{text}" is an invalid OS component of "{text}": OSAndVersion specifier component '
                               "must match \"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.-]*)\\\\))?$\": invalid argument")
    if len(parts) == 1:
        if parts[0] in ("linux", "windows", "darwin", "freebsd"):
            return Platform(parts[0], host_platform().architecture)
        parts.insert(0, "linux")
    architecture = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}.get(parts[1], parts[1])
    variant = parts[2] if len(parts) > 2 else ""
    if architecture == "arm" and not variant:
        variant = "v7"
    if architecture == "arm64" and variant == "v8":
        variant = ""
    return Platform(parts[0], architecture, variant)


def media_type_of(body: dict[str, Any], content_type: str) -> str:
    """What a manifest is: its own word, else the header's, else its shape."""
    own = str(body.get("mediaType") or content_type.partition(";")[0].strip())
    if own in (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX):
        return own
    if body.get("schemaVersion") == 1:
        raise InvalidParameter("Docker Image manifest version 2, schema 1 support has been removed. "
                               "Please contact the admin of the registry to upgrade the image.")
    if "manifests" in body:
        return OCI_INDEX
    if "config" in body and "layers" in body:
        return OCI_MANIFEST
    raise SystemFailure(f"unsupported manifest media type {own!r}")


def decode(data: bytes) -> dict[str, Any]:
    """SystemFailure when it is no JSON object."""
    try:
        body = json.loads(data)
    except ValueError as error:
        raise SystemFailure(f"invalid manifest: {error}") from error
    if not isinstance(body, dict):
        raise SystemFailure("invalid manifest: not a JSON object")
    return body


def parse(body: dict[str, Any], media_type: str) -> Manifest:
    """A single image's manifest. SystemFailure when it is incomplete."""
    try:
        config = _descriptor(body["config"])
        layers = tuple(_descriptor(layer) for layer in body["layers"])
    except (KeyError, TypeError, ValueError) as error:
        raise SystemFailure(f"invalid manifest: {error!r}") from error
    if config.media_type not in (DOCKER_CONFIG, OCI_CONFIG, "application/octet-stream", ""):
        raise InvalidParameter(f"unsupported media type {config.media_type}")
    return Manifest(config, layers, media_type)


def _descriptor(value: dict[str, Any]) -> Descriptor:
    if value.get("urls") and "foreign" in str(value.get("mediaType")):
        raise ValueError("foreign layers are not supported")
    return Descriptor(str(value["digest"]), int(value["size"]), str(value.get("mediaType") or ""))


def choose(body: dict[str, Any], wanted: Platform) -> Descriptor:
    """The entry of a list that fits ``wanted`` best. NotFound in Docker's words."""
    best: tuple[int, dict[str, Any]] | None = None
    for entry in body.get("manifests") or []:
        fit = _fit(entry.get("platform") or {}, wanted)
        if fit and (best is None or fit > best[0]):
            best = (fit, entry)
    if best is None:
        raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")
    return _descriptor(best[1])


def _fit(platform: dict[str, Any], wanted: Platform) -> int:
    if platform.get("os") != wanted.os or platform.get("architecture") != wanted.architecture:
        return 0
    variant = str(platform.get("variant") or "")
    if wanted.architecture == "arm64" and variant == "v8":
        variant = ""
    if wanted.architecture == "arm":
        have, want = _level(variant or "v7"), _level(wanted.variant or "v7")
        return 0 if have > want else 10 + have      # an older ARM's code runs on a newer one
    if variant == wanted.variant:
        return 3
    if not variant:
        return 2
    return 0 if wanted.architecture == "amd64" or wanted.variant else 1


def _level(variant: str) -> int:
    return int(variant[1:]) if variant[1:].isdigit() else 0
