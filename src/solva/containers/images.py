"""commit: a container's changes as an image."""

from __future__ import annotations

from typing import Any

import msgspec

from solva.api.types.container import CommitOptions
from solva.clock import rfc3339
from solva.containers.core import Core
from solva.containers.model import Container
from solva.errors import InvalidParameter, SolvaError


async def commit(core: Core, options: CommitOptions) -> str:
    """The new image's id."""
    container = core.registry.get(options.container)
    image = core.images.resolve(container.image_id)
    pause = options.pause and container.state.status == "running"
    if pause:
        try:
            await core.runtime.pause(container.id)
        except SolvaError:      # it has ended meanwhile
            pause = False
    try:
        layer = await core.snapshots.commit(container.id)
    finally:
        if pause:
            try:
                await core.runtime.resume(container.id)
            except SolvaError:
                pass
    config = {key: value for key, value in image.config.items() if key != "rootfs"}     # images adds the layer
    config["config"] = {**image_config(container), **options.config}
    if options.changes:
        config["config"] = core.images.apply_changes(config["config"], options.changes)
    config["created"] = rfc3339(core.clock.time_ns())
    config["author"] = options.author
    config["container"] = container.id
    config["container_config"] = msgspec.to_builtins(container.config)
    history = list(config.get("history") or [])
    history.append({"created": config["created"], "created_by": " ".join([container.path, *container.args]),
                    **({"comment": options.comment} if options.comment else {})})
    layers = [layer] if layer.size or await _changed(core, container) else []
    if not layers:
        history[-1]["empty_layer"] = True
    config["history"] = history
    tags = []
    if options.repo:
        tags = [f"{options.repo}:{options.tag or 'latest'}"]
    elif options.tag:
        raise InvalidParameter("invalid reference format: a tag needs a repository")
    record = await core.images.create(config, layers, container.image_id, tags)
    core.event(container, "commit", comment=options.comment, imageID=record.id,
               **({"imageRef": tags[0]} if tags else {}))
    return str(record.id)


async def _changed(core: Core, container: Container) -> bool:
    return bool(await core.snapshots.changes(container.id))


def image_config(container: Container) -> dict[str, Any]:
    """The container's configuration as an image's."""
    config = msgspec.to_builtins(container.config)
    keep = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
            "Healthcheck", "Shell", "OnBuild", "StopTimeout")
    return {key: config[key] for key in keep if config.get(key)}
