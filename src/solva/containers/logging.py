"""What a container's log driver asks for: checks, conmon's limit, rotation and passing on while it runs, reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote_plus

from solva.api.types.container import LogsOptions
from solva.containers.core import Core, Live
from solva.containers.model import Container
from solva.errors import InvalidParameter, NotImplementedHere, SystemFailure
from solva.logs import forward, journald, k8sfile, options, rotation, syslog

_FAILED = "failed to create task for container: failed to initialize logging driver: "
_SENDING = ("journald", "syslog")


def subject(container: Container) -> options.Subject:
    return options.Subject(container.id, container.name, container.config.image, container.image_id,
                           container.config.labels, tuple(container.config.env),
                           " ".join([container.path, *container.args]))


def prepare(core: Core, container: Container) -> int:
    """Before a start: SystemFailure in Docker's words for what the driver cannot do; conmon's size limit in bytes."""
    wanted = container.host_config.log_config
    if wanted.type == "none":
        return 0
    try:
        files = options.files(wanted.type, wanted.config)
        options.tag(wanted.config, subject(container), "")
        options.attributes(wanted.config, subject(container))
    except InvalidParameter as error:
        raise SystemFailure(_FAILED + str(error)) from error
    if wanted.type == "journald" and not journald.enabled():
        raise SystemFailure(_FAILED + "journald is not enabled on this host")
    return rotation.backstop(files)


async def connectable(container: Container) -> None:
    """Before a start: SystemFailure where a stream to a syslog server cannot be opened."""
    wanted = container.host_config.log_config
    if wanted.type != "syslog":
        return
    sink = syslog.Syslog(wanted.config, "")
    try:
        await sink.connect()
    except (OSError, TimeoutError) as error:
        raise SystemFailure(f"{_FAILED}{error or 'connection timed out'}") from error
    finally:
        sink.close()


def begin(core: Core, container: Container, live: Live) -> None:
    """It runs (again): keep its files, pass its lines on."""
    wanted = container.host_config.log_config
    if wanted.type == "none":
        return
    path = core.paths.log(container.id)
    files = options.files(wanted.type, wanted.config)
    if files.size and files.count > 1:
        path.touch(0o640)
        core.background(rotation.keep(path, core.paths.bundle(container.id) / "ctl", files, live.ended))
    if wanted.type in _SENDING:
        path.touch(0o640)
        core.background(forward.run(path, _sink(container), live.ended))


def _sink(container: Container) -> forward.Sink:
    wanted, whose = container.host_config.log_config, subject(container)
    tag = options.tag(wanted.config, whose, "{{.ID}}")
    if wanted.type == "syslog":
        return syslog.Syslog(wanted.config, tag)
    return journald.Journald(whose, tag, options.attributes(wanted.config, whose))


def read(core: Core, container: Container, asked: LogsOptions, *, ended: asyncio.Event | None,
         tty: bool) -> AsyncIterator[bytes]:
    """See k8sfile.read. NotImplementedHere for a driver that keeps nothing."""
    wanted = container.host_config.log_config
    if wanted.type == "none" or wanted.config.get("cache-disabled", "").lower() in ("1", "t", "true"):
        raise NotImplementedHere("configured logging driver does not support reading")
    details = ""
    if asked.details:
        found = options.attributes(wanted.config, subject(container))
        if wanted.config.get("tag"):
            found["tag"] = options.tag(wanted.config, subject(container), "")
        details = ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(found.items()))
    return k8sfile.read(core.paths.log(container.id), asked, tty=tty, details=details, ended=ended)
