"""Images before containers: what has to be pulled or built, and doing it."""

from __future__ import annotations

import os
import sys

from solva.compose import observe
from solva.compose.errors import ComposeError
from solva.compose.load.paths import is_remote
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from solva.client.transport import Transport
    from solva.compose.progress import Progress
    from solva.compose.project import Project, Service

    Auth = Callable[[str], dict[str, str]]


def ensure(api: Transport, project: Project, progress: Progress, *, build: bool | None = None, pull: str = "",
           quiet: bool = False, dry_run: bool = False, auth: Auth | None = None) -> dict[str, str]:
    """Every service's image made present; reference -> id. ``build``: True forces, False forbids it.

    ``auth`` gives the headers that carry a registry's credentials for a reference.
    """
    there = observe.images(api, project)
    pulled: set[str] = set()
    for service in project.services.values():
        reference = service.image(project.name)
        policy = pull or service.get("pull_policy") or "missing"
        wants_build = service.get("build") is not None
        if wants_build and build is not False and (build or policy == "build" or (
                (not there[reference] and policy != "always") or (not there[reference] and not service.get("image")))):
            progress.event(f"Image {reference}", "Building")
            if not dry_run:
                build_service(api, project, service, quiet=quiet)
                there[reference] = observe.image_id(api, reference)
            progress.event(f"Image {reference}", "Built")
        elif reference not in pulled and (policy == "always" or (not there[reference] and policy != "never")):
            if wants_build and there[reference]:
                continue
            pull_service(api, service, reference, progress, dry_run=dry_run, auth=auth)
            there[reference] = observe.image_id(api, reference)
            pulled.add(reference)
        elif not there[reference]:
            raise ComposeError(f"Error response from daemon: No such image: {reference}")
    return there


def pull_service(api: Transport, service: Service, reference: str, progress: Progress, *,
                 dry_run: bool = False, auth: Auth | None = None) -> None:
    """``POST /images/create``; the stream's error is raised."""
    progress.event(service.name, "Pulling")
    if not dry_run:
        name, _, tag = reference.partition("@") if "@" in reference else _tagged(reference)
        query = {"fromImage": name, "tag": tag or "latest", "platform": service.get("platform")}
        try:
            headers = auth(reference) if auth else None
            with api.request("POST", "/images/create", query=query, headers=headers) as response:
                for message in response.lines():
                    if "error" in message:
                        raise ComposeError(str(message["error"]))
        except SolvaError as error:
            progress.event(service.name, "Error", str(error))
            raise ComposeError(f"Error response from daemon: {error}") from None
    progress.event(service.name, "Pulled")


def _tagged(reference: str) -> tuple[str, str, str]:
    head, colon, tag = reference.rpartition(":")
    return (head, ":", tag) if colon and "/" not in tag else (reference, "", "")


def build_service(api: Transport, project: Project, service: Service, *, quiet: bool = False, no_cache: bool = False,
                  pull: bool = False, args: Iterable[str] = (), memory: int = 0) -> None:
    """``POST /build`` with the packed context."""
    from solva.client.context import pack

    spec = service.get("build") or {}
    _refuse(service.name, spec)
    context = spec["context"]
    query = _query(service, project, spec, no_cache, pull, args)
    if memory:
        query["memory"] = memory
    upload = None
    if is_remote(context):
        query["remote"] = context
    else:
        if not os.path.isdir(context):
            raise ComposeError(f"unable to prepare context: path {context!r} not found".replace("'", '"'))
        upload = pack(context, query["dockerfile"], _extra(context, spec, query))
    options: dict[str, Any] = {"upload": upload} if upload is not None else {}
    out = sys.stdout
    with api.request("POST", "/build", query=query, headers={"Content-Type": "application/x-tar"},
                     **options) as response:
        for message in response.lines():
            if "error" in message:
                raise ComposeError(f"target {service.name}: failed to solve: {message['error']}")
            if not quiet and "stream" in message:
                out.write(message["stream"])
                out.flush()
    for tag in spec.get("tags") or ():
        repository, _, name = _tagged(tag)
        api.json("POST", f"/images/{service.image(project.name)}/tag", query={"repo": repository,
                                                                             "tag": name or "latest"})


def _refuse(name: str, spec: dict[str, Any]) -> None:
    for attribute in ("ssh", "secrets", "additional_contexts", "entitlements", "cache_to"):
        if spec.get(attribute):
            raise ComposeError(f"services.{name}.build.{attribute}: not supported by the engine's build API")


def _extra(context: str, spec: dict[str, Any], query: dict[str, Any]) -> dict[str, bytes]:
    if spec.get("dockerfile_inline"):
        query["dockerfile"] = ".dockerfile.inline"
        return {".dockerfile.inline": spec["dockerfile_inline"].encode()}
    path = os.path.normpath(os.path.join(context, spec.get("dockerfile") or "Dockerfile"))
    if not os.path.isfile(path):
        raise ComposeError(f"failed to read dockerfile: open {path}: no such file or directory")
    relative = os.path.relpath(path, context)
    if relative.startswith(".."):
        query["dockerfile"] = ".dockerfile.outside"
        with open(path, "rb") as stream:
            return {".dockerfile.outside": stream.read()}
    query["dockerfile"] = relative
    return {}


def _query(service: Service, project: Project, spec: dict[str, Any], no_cache: bool, pull: bool,
           args: Iterable[str]) -> dict[str, Any]:
    values = dict(spec.get("args") or {})
    for item in args:
        key, equals, value = item.partition("=")
        values[key] = value if equals else project.environment.get(key)
    query: dict[str, Any] = {
        "t": service.image(project.name), "dockerfile": spec.get("dockerfile") or "Dockerfile", "rm": True,
        "buildargs": {key: value for key, value in values.items() if value is not None}, "target": spec.get("target"),
        "nocache": bool(no_cache or spec.get("no_cache")) or None, "pull": bool(pull or spec.get("pull")) or None,
        "networkmode": spec.get("network"), "shmsize": spec.get("shm_size"), "version": "1",
        "labels": {**(spec.get("labels") or {}), "com.docker.compose.project": project.name,
                   "com.docker.compose.service": service.name, "com.docker.compose.version": "2.40.3"},
        "platform": service.get("platform") or next(iter(spec.get("platforms") or ()), None),
    }
    if spec.get("cache_from"):
        query["cachefrom"] = spec["cache_from"]
    if spec.get("extra_hosts"):
        query["extrahosts"] = ",".join(item.replace("=", ":", 1) for item in spec["extra_hosts"])
    return query
