"""A compose application out of a registry: what ``compose publish`` wrote, as files again."""

from __future__ import annotations

import os

from solva.compose.artifact import ARTIFACT, EMPTY_1_0, ENV_FILE, FILE
from solva.compose.errors import ComposeError
from solva.compose.load.remote import OCI, Remote, into_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.registry.client import Repository
    from solva.registry.reference import Reference

_NAME = "compose.yaml"
_LIMIT = 16 << 20     # bytes of one file


def fetch_artifact(text: str, cache: str) -> Remote:
    """The compose file of the artifact ``text`` (``[HOST/]PATH[:TAG|@DIGEST]``), below ``cache``."""
    import asyncio

    from solva.errors import SolvaError
    from solva.registry.errors import RegistryError
    from solva.registry.http import HttpError
    from solva.registry.reference import parse

    try:
        reference = parse(text).with_default_tag()
    except (ValueError, SolvaError) as error:
        raise ComposeError(f"{OCI}{text}: {error}") from None
    try:
        root = asyncio.run(_fetch(reference, cache))
    except ComposeError:
        raise
    except (SolvaError, RegistryError, HttpError, OSError, ValueError) as error:
        raise ComposeError(f'failed to pull OCI resource "{reference}": {error}') from None
    return Remote(os.path.join(root, _NAME), root)


async def _fetch(reference: Reference, cache: str) -> str:
    """By the first endpoint that answers: https, and http for a registry of this machine."""
    from solva.registry.auth import from_file
    from solva.registry.client import Repository
    from solva.registry.config import RegistryConfig, endpoints
    from solva.registry.http import HttpClient, HttpError

    problem: Exception | None = None
    auth = await from_file(reference.domain)
    async with HttpClient() as client:
        for endpoint in endpoints(RegistryConfig(), reference.domain, mirrors=False):
            repository = Repository(client, endpoint, reference.path, auth)
            try:
                await repository.ping()
            except (HttpError, OSError) as error:
                problem = error
                continue
            return await _files(repository, reference, cache)
    raise problem or HttpError(f"{reference.domain}: no endpoint")


async def _files(repository: Repository, reference: Reference, cache: str) -> str:
    import json

    raw = await repository.manifest(reference.digest or reference.tag)
    name = raw.digest.partition(":")[2]
    if os.path.isdir(os.path.join(cache, name)):
        return os.path.join(cache, name)
    manifest = json.loads(raw.data)
    kind = manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType", raw.content_type)
    if kind not in (ARTIFACT, EMPTY_1_0):
        raise ComposeError(f"{reference} is not a compose project OCI artifact, but {kind}")
    contents = [(layer, await repository.small_blob(layer["digest"], _LIMIT)) for layer in manifest.get("layers") or ()]
    return into_place(cache, name, _writer(contents, str(reference)))


def _writer(contents: list[tuple[dict[str, Any], bytes]], reference: str) -> Callable[[str], None]:
    """What writes the layers: the project's files one after the other as documents of one, others by their names."""
    def fill(folder: str) -> None:
        from hashlib import sha256

        documents = []
        for layer, data in contents:
            if layer["digest"] != "sha256:" + sha256(data).hexdigest():
                raise ComposeError(f"{reference}: content of layer {layer['digest']} does not match its digest")
            notes = layer.get("annotations") or {}
            if layer["mediaType"] == FILE and "com.docker.compose.extends" not in notes:
                documents.append(data)
            elif layer["mediaType"] == FILE:
                _write(folder, notes.get("com.docker.compose.file", ""), data, reference)
            elif layer["mediaType"] == ENV_FILE:
                _write(folder, notes.get("com.docker.compose.envfile", ""), data, reference)
        if not documents:
            raise ComposeError(f"{reference}: the artifact has no compose file")
        _write(folder, _NAME, b"\n---\n".join(documents), reference)
    return fill


def _write(folder: str, name: str, data: bytes, reference: str) -> None:
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ComposeError(f"{reference}: invalid file name {name!r} in the artifact")
    with open(os.path.join(folder, name), "xb") as stream:
        stream.write(data)
