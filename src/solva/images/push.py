"""Push: layers the registry has not, configuration, manifest."""

import asyncio
from collections.abc import Callable

import msgspec

from solva.errors import NotFound, SolvaError, SystemFailure
from solva.events.bus import EventBus
from solva.images.model import diff_ids
from solva.images.progress import LayerProgress, Progress, retrying
from solva.images.pull import PARALLEL
from solva.images.store import ImageStore
from solva.images.upload import Upload
from solva.registry import errors, manifest
from solva.registry.auth import RegistryAuth
from solva.registry.client import Repository
from solva.registry.config import RegistryConfig, endpoints
from solva.registry.errors import RegistryError
from solva.registry.http import HttpClient, HttpError
from solva.registry.reference import Reference
from solva.snapshots.content import ContentStore, digest_of
from solva.snapshots.layers import Diff, LayerStore


class Pusher:
    """One an engine."""

    def __init__(
        self, images: ImageStore, content: ContentStore, layers: LayerStore, bus: EventBus, config: RegistryConfig
    ) -> None:
        self._images = images
        self._content = content
        self._layers = layers
        self._bus = bus
        self._config = config

    async def push(self, reference: Reference, auth: RegistryAuth | None, progress: Progress) -> None:
        """One tag, or all tags of the repository."""
        names = [name for image_id in self._images.ids() for name in self._images.references(image_id)
                 if name.tag and name.name == reference.name and reference.tag in ("", name.tag)]
        if not names:
            if reference.tag:
                raise NotFound(f"tag does not exist: {reference.familiar}")
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        progress({"status": f"The push refers to repository [{reference.name}]"})
        async with HttpClient() as client:
            repository = await self._repository(client, reference, auth, retrying(progress))
            for name in sorted(names, key=str):
                await self._push_one(repository, name, progress)

    async def _repository(self, client: HttpClient, reference: Reference, auth: RegistryAuth | None,
                          said: Callable[[int], None]) -> Repository:
        failure: SolvaError | None = None
        for endpoint in endpoints(self._config, reference.domain, mirrors=False):
            repository = Repository(client, endpoint, reference.path, auth, push=True, said=said)
            try:
                await repository.ping()
                return repository
            except (HttpError, RegistryError) as error:
                if failure is None or endpoint.base.startswith("http://"):
                    failure = SystemFailure(str(error))
        assert failure is not None
        raise failure

    async def _push_one(self, repository: Repository, name: Reference, progress: Progress) -> None:
        image_id = self._images.named(name)
        assert image_id is not None
        diffs = [self._diff(diff_id) for diff_id in diff_ids(self._images.config(image_id))]
        slots = asyncio.Semaphore(PARALLEL)
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    for diff in {diff.diff_id: diff for diff in diffs}.values():
                        group.create_task(self._layer(repository, name, diff, progress, slots))
            except ExceptionGroup as several:
                raise several.exceptions[0] from None
            config = self._content.read(image_id)
            if not await repository.has_blob(image_id):
                await repository.upload(await repository.start_upload(), image_id, config, len(config))
            data, kind = self._manifest(image_id, len(config), diffs)
            await repository.put_manifest(name.tag, data, kind)
        except RegistryError as error:
            raise errors.for_push(error, name.familiar_name) from error
        except HttpError as error:
            raise SystemFailure(str(error)) from error
        digest = digest_of(data)
        self._images.name(name.with_digest(digest), image_id)
        progress({"status": f"{name.tag}: digest: {digest} size: {len(data)}"})
        progress({"progressDetail": {}, "aux": {"Tag": name.tag, "Digest": digest, "Size": len(data)}})
        self._bus.publish("image", "push", name.familiar, {"name": name.familiar_name})

    def _diff(self, diff_id: str) -> Diff:
        diff = self._layers.diff(diff_id)
        assert diff is not None
        return diff

    async def _layer(
        self, repository: Repository, name: Reference, diff: Diff, progress: Progress, slots: asyncio.Semaphore
    ) -> None:
        line = LayerProgress(progress, diff.diff_id[7:19])
        line.status("Preparing")
        async with slots:
            if await repository.has_blob(diff.blob):
                line.status("Layer already exists")
                return
            source = self._elsewhere(name, diff.diff_id)
            location = await repository.start_upload(diff.blob if source else "", source)
            if not location:
                line.status(f"Mounted from {source}")
                return
            upload = Upload(repository, self._content.path(diff.blob), diff.blob, diff.blob_size,
                            lambda sent: line.amount("Pushing", sent, diff.blob_size), line.retrying)
            await upload.run(location)
            line.status("Pushed")

    def _elsewhere(self, name: Reference, diff_id: str) -> str:
        """Another repository of the same registry that has the layer, as far as we know; "" for none."""
        for image_id in self._images.ids():
            if diff_id in diff_ids(self._images.config(image_id)):
                for other in self._images.references(image_id):
                    if other.domain == name.domain and other.path != name.path and other.digest:
                        return other.path
        return ""

    def _manifest(self, image_id: str, config_size: int, diffs: list[Diff]) -> tuple[bytes, str]:
        oci = self._images.stored(image_id).oci
        kind = manifest.OCI_MANIFEST if oci else manifest.DOCKER_MANIFEST
        body = {
            "schemaVersion": 2, "mediaType": kind,
            "config": {"mediaType": manifest.OCI_CONFIG if oci else manifest.DOCKER_CONFIG, "size": config_size,
                       "digest": image_id},
            "layers": [{"mediaType": diff.media_type or manifest.DOCKER_LAYER, "size": diff.blob_size,
                        "digest": diff.blob} for diff in diffs],
        }
        return msgspec.json.encode(body), kind
