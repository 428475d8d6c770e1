"""Pull: a name to a whole image, from a mirror or the registry itself."""

import asyncio
from collections.abc import Callable
from typing import Any

from solva import faults
from solva.errors import NotFound, SolvaError, SystemFailure
from solva.events.bus import EventBus
from solva.images.model import diff_ids
from solva.images.progress import LayerProgress, Progress, retrying
from solva.images.store import ImageStore
from solva.images.transfer import Transfers
from solva.registry import errors, manifest
from solva.registry.auth import RegistryAuth
from solva.registry.client import RawManifest, Repository
from solva.registry.config import RegistryConfig, endpoints
from solva.registry.errors import RegistryError
from solva.registry.http import HttpClient, HttpError
from solva.registry.manifest import Manifest, Platform
from solva.registry.reference import Reference
from solva.snapshots.content import ContentStore, digest_of
from solva.snapshots.layers import LayerStore

PARALLEL = 3
CONFIG_LIMIT = 8 << 20


class Puller:
    """One an engine."""

    def __init__(
        self, images: ImageStore, content: ContentStore, layers: LayerStore, bus: EventBus, config: RegistryConfig
    ) -> None:
        self._images = images
        self._content = content
        self._layers = layers
        self._bus = bus
        self._config = config
        self._transfers = Transfers(content, layers)

    async def pull(
        self, reference: Reference, platform: str, auth: RegistryAuth | None, progress: Progress
    ) -> str:
        """The image's id. Docker's progress and errors."""
        wanted = manifest.parse_platform(platform)
        async with HttpClient() as client:
            repository, raw = await self.find(client, reference, auth, retrying(progress))
            progress({"status": f"Pulling from {reference.path}", "id": reference.tag or reference.digest})
            try:
                image_id = await self._image(repository, raw, wanted, progress)
            except RegistryError as error:
                raise errors.for_pull(error, reference.familiar, reference.familiar_name) from error
            except HttpError as error:
                raise SystemFailure(str(error)) from error
            except OSError as error:
                raise SystemFailure(f"pull {reference.familiar}: {(error.strerror or str(error)).lower()}") from error
        faults.point("pull: whole")
        fresh = self._images.named(reference) != image_id
        if not reference.digest:
            self._images.name(reference, image_id)
        self._images.name(reference.with_digest(raw.digest), image_id)
        progress({"status": f"Digest: {raw.digest}"})
        state = "Downloaded newer image for" if fresh else "Image is up to date for"
        progress({"status": f"Status: {state} {reference.familiar}"})
        labels = (self._images.config(image_id).get("config") or {}).get("Labels") or {}
        self._bus.publish("image", "pull", reference.familiar, {**labels, "name": reference.familiar_name})
        return image_id

    async def find(
        self, client: HttpClient, reference: Reference, auth: RegistryAuth | None,
        said: Callable[[int], None] = lambda seconds: None,
    ) -> tuple[Repository, RawManifest]:
        """The first endpoint that has it. When none does, the registry's own answer, and what the mirrors said."""
        mirrors: list[str] = []
        failure: SolvaError | None = None
        for endpoint in endpoints(self._config, reference.domain):
            repository = Repository(client, endpoint, reference.path, None if endpoint.mirror else auth, said=said)
            try:
                return repository, await repository.manifest(reference.digest or reference.tag)
            except RegistryError as error:
                refused = errors.for_pull(error, reference.familiar, reference.familiar_name)
                if endpoint.mirror:
                    mirrors.append(f"mirror {endpoint.base}: {refused}")
                    continue
                if endpoint.base.startswith("https://") and not endpoint.verify and error.status in (400, 404):
                    failure = refused      # some http servers answer a TLS greeting like this
                    continue
                failure = refused
                break
            except HttpError as error:
                if endpoint.mirror:
                    mirrors.append(f"mirror {endpoint.base}: {error}")
                elif failure is None or endpoint.base.startswith("http://"):
                    failure = SystemFailure(str(error))
        assert failure is not None
        if mirrors:
            raise type(failure)(f"{failure} ({'; '.join(mirrors)})")
        raise failure

    async def tags(self, reference: Reference, auth: RegistryAuth | None) -> list[str]:
        """All tags of a repository. Docker's errors."""
        failure: SolvaError | None = None
        async with HttpClient() as client:
            for endpoint in endpoints(self._config, reference.domain):
                repository = Repository(client, endpoint, reference.path, None if endpoint.mirror else auth)
                try:
                    return await repository.tags()
                except RegistryError as error:
                    failure = errors.for_pull(error, reference.familiar, reference.familiar_name)
                except HttpError as error:
                    if failure is None:
                        failure = SystemFailure(str(error))
        assert failure is not None
        raise failure

    async def _image(
        self, repository: Repository, raw: RawManifest, wanted: Platform, progress: Progress
    ) -> str:
        body, kind = self._decode(raw)
        if kind in (manifest.DOCKER_LIST, manifest.OCI_INDEX):
            entry = manifest.choose(body, wanted)
            body, kind = self._decode(await repository.manifest(entry.digest))
        parsed = manifest.parse(body, kind)
        if self._images.has(parsed.config.digest):
            self._check_platform(self._images.config(parsed.config.digest), wanted)
            return parsed.config.digest
        data = await self._config_blob(repository, parsed)
        config: dict[str, Any] = manifest.decode(data)
        self._check_platform(config, wanted)
        wanted_diffs = diff_ids(config)
        if len(wanted_diffs) != len(parsed.layers):
            raise SystemFailure("layers from manifest don't match image configuration")
        with self._layers.lease(wanted_diffs):
            faults.point("pull: begun")
            await self._fetch_layers(repository, parsed, wanted_diffs, progress)
            faults.point("pull: layers")
            return self._images.add(data, oci=kind == manifest.OCI_MANIFEST)

    @staticmethod
    def _decode(raw: RawManifest) -> tuple[dict[str, Any], str]:
        body = manifest.decode(raw.data)
        return body, manifest.media_type_of(body, raw.content_type)

    @staticmethod
    def _check_platform(config: dict[str, Any], wanted: Platform) -> None:
        if (config.get("os", "linux"), config.get("architecture", wanted.architecture)) != (
                wanted.os, wanted.architecture):
            raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")

    async def _config_blob(self, repository: Repository, parsed: Manifest) -> bytes:
        digest = parsed.config.digest
        if self._content.has(digest):
            return self._content.read(digest)
        data = await repository.small_blob(digest, CONFIG_LIMIT)
        if digest_of(data) != digest:
            raise SystemFailure(f"image config verification failed for digest {digest}")
        return data

    async def _fetch_layers(
        self, repository: Repository, parsed: Manifest, wanted: list[str], progress: Progress
    ) -> None:
        lines = [LayerProgress(progress, layer.digest[7:19]) for layer in parsed.layers]
        missing: list[int] = []
        for index, diff_id in enumerate(wanted):
            if self._layers.diff(diff_id) is not None:
                lines[index].status("Already exists")
            else:
                lines[index].status("Pulling fs layer")
                missing.append(index)
        slots = asyncio.Semaphore(PARALLEL)
        for index in missing[PARALLEL:]:
            lines[index].status("Waiting")

        async def one(index: int) -> None:
            await self._transfers.layer(repository, parsed.layers[index], wanted[index], lines[index], slots)
            lines[index].status("Pull complete")

        try:
            async with asyncio.TaskGroup() as group:
                for index in missing:
                    group.create_task(one(index))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None


