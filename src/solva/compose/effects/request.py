"""A service's container as the body of ``POST /containers/create``: one effect an attribute, put together here."""

from __future__ import annotations

from solva.compose.effects import mounts, network, process, resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.project import Project, Service

    Effect = Callable[[Any, dict[str, Any], dict[str, Any]], None]

EFFECTS: dict[str, Effect] = {**process.EFFECTS, **resources.EFFECTS, **mounts.EFFECTS, **network.EFFECTS}


# Attributes whose effect is in the functions that look at a whole service.
WHOLE = frozenset(("volumes", "configs", "secrets", "networks", "links", "external_links", "mac_address", "gpus",
                   "image", "labels", "security_opt", "use_api_socket"))


def warnings(project: Project) -> list[str]:
    """What is asked for and cannot be done, by this engine or by Docker's."""
    found = [f"services.{name}.credential_spec: of Windows containers, ignored" for name, service
             in project.services.items() if service.get("credential_spec")]
    return found + [f"services.{name}.build.{attribute}: no builder here has it, ignored"
                    for name, service in project.services.items() for attribute in ("isolation", "privileged")
                    if (service.get("build") or {}).get(attribute)]


def container_request(project: Project, service: Service, name: str, labels: dict[str, str], *,
                      inherited: tuple[str, ...] = (), aliases: bool = True, attach_stdin: bool = False,
                      auto_remove: bool = False) -> dict[str, Any]:
    """The whole body. ``inherited``: binds of the anonymous volumes of the container that this one replaces."""
    host: dict[str, Any] = {"AutoRemove": auto_remove}
    config: dict[str, Any] = {
        "Image": service.image(project.name), "AttachStdout": True, "AttachStderr": True,
        "AttachStdin": attach_stdin, "StdinOnce": attach_stdin and bool(service.get("stdin_open")),
        "Labels": {**(service.get("labels") or {}), **labels}, "HostConfig": host,
    }
    for attribute, value in service.config.items():
        effect = EFFECTS.get(attribute)
        if effect is not None and value is not None:
            effect(value, config, host)
    process.security_options(service, project.working_dir, host)
    resources.device_requests(service, host)
    mounts.volumes(project, service, host, inherited)
    network.join(project, service, name, config, host, aliases)
    return config
