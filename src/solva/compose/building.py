"""A service's image built: what is asked of ``POST /build``, the context packed and sent, the steps shown."""

from __future__ import annotations

import os

from solva.compose import labels
from solva.compose.buildkit import session_of
from solva.compose.errors import ComposeError
from solva.compose.load.paths import is_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from solva.compose.execute import Run
    from solva.compose.plan import Op
    from solva.compose.project import Project, Service

_UNSUPPORTED = ("provenance", "sbom")      # the image store has no place for attestations


class BuildOptions:
    """What the command line adds to the files' ``build``."""

    def __init__(self, *, no_cache: bool = False, pull: bool = False, args: Iterable[str] = (), memory: int = 0,
                 quiet: bool = False, ssh: str = "") -> None:
        self.no_cache = no_cache
        self.pull = pull
        self.args = tuple(args)
        self.memory = memory
        self.quiet = quiet
        self.ssh = ssh


def build_body(project: Project, service: Service, options: BuildOptions) -> dict[str, Any]:
    """All that a build operation needs: the query, the context, the Dockerfile in the file, further tags."""
    spec = service.get("build") or {}
    for attribute in _UNSUPPORTED:
        value = spec.get(attribute)
        if value and str(value).lower() not in ("false", "0"):
            raise ComposeError(f"services.{service.name}.build.{attribute}: attestations are not supported by the "
                               "engine's image store")
    query = _query(service, project, spec, options)
    return {"context": spec["context"], "inline": spec.get("dockerfile_inline") or "", "query": query,
            "dockerfile": spec.get("dockerfile") or "Dockerfile", "tags": list(spec.get("tags") or ()),
            "service": service.name, "quiet": options.quiet,
            "session": session_of(project, service, spec, options.ssh)}


def _query(service: Service, project: Project, spec: dict[str, Any], options: BuildOptions) -> dict[str, Any]:
    values = dict(spec.get("args") or {})
    for item in options.args:
        key, equals, value = item.partition("=")
        values[key] = value if equals else project.environment.get(key)
    query: dict[str, Any] = {
        "t": service.image(project.name), "rm": True, "version": "1",
        "buildargs": {key: value for key, value in values.items() if value is not None}, "target": spec.get("target"),
        "nocache": bool(options.no_cache or spec.get("no_cache")) or None,
        "pull": bool(options.pull or spec.get("pull")) or None,
        "networkmode": spec.get("network"), "shmsize": spec.get("shm_size"), "memory": options.memory or None,
        "labels": {**(spec.get("labels") or {}), labels.PROJECT: project.name, labels.SERVICE: service.name,
                   labels.VERSION: labels.COMPOSE_VERSION},
        "platform": service.get("platform") or next(iter(spec.get("platforms") or ()), None),
    }
    if spec.get("cache_from"):
        query["cachefrom"] = list(spec["cache_from"])
    if spec.get("extra_hosts"):
        query["extrahosts"] = ",".join(item.replace("=", ":", 1) for item in spec["extra_hosts"])
    if spec.get("ulimits"):
        query["ulimits"] = [
            {"Name": name, "Soft": item["soft"], "Hard": item["hard"]} if isinstance(item, dict)
            else {"Name": name, "Soft": item, "Hard": item} for name, item in sorted(spec["ulimits"].items())]
    return query


def build_op(op: Op, run: Run) -> None:
    """Pack, send, follow; ComposeError with the build's own last words."""
    from solva.client.context import pack
    from solva.compose.images import split
    from solva.compose.perform import follow

    body = op.body
    if body.get("session"):
        from solva.compose.buildkit import build

        build(op, run)
        return
    query = dict(body["query"])
    context = body["context"]
    sending: dict[str, Any] = {}
    if is_remote(context):
        query["remote"] = context
        query["dockerfile"] = body["dockerfile"]
    else:
        if not os.path.isdir(context):
            raise ComposeError(f'unable to prepare context: path "{context}" not found')
        extra = _dockerfile(context, body, query)
        sending["upload"] = pack(context, query["dockerfile"], extra)
    headers = {"Content-Type": "application/x-tar", **run.every_auth()}
    with run.api.request("POST", "/build", query=query, headers=headers, **sending) as response:
        for message in follow(run, response):
            if "error" in message:
                raise ComposeError(f"target {body['service']}: failed to solve: {message['error']}")
            for line in str(message.get("stream") or "").splitlines():
                if line.startswith("Step "):
                    run.progress.measure(op.subject, line)
                if line.strip() and not body.get("quiet"):
                    run.progress.log(body["service"], line)
    for tag in body["tags"]:
        repository, name = split(tag)
        run.api.json("POST", f"/images/{query['t']}/tag", query={"repo": repository, "tag": name or "latest"})


def _dockerfile(context: str, body: dict[str, Any], query: dict[str, Any]) -> dict[str, bytes]:
    """Set the query's ``dockerfile``; files to send that are not in the context."""
    if body["inline"]:
        query["dockerfile"] = ".dockerfile.inline"
        return {".dockerfile.inline": body["inline"].encode()}
    path = os.path.normpath(os.path.join(context, body["dockerfile"]))
    if not os.path.isfile(path):
        raise ComposeError(f"failed to read dockerfile: open {path}: no such file or directory")
    relative = os.path.relpath(path, context)
    if relative.startswith(".."):
        query["dockerfile"] = ".dockerfile.outside"
        with open(path, "rb") as stream:
            return {".dockerfile.outside": stream.read()}
    query["dockerfile"] = relative
    return {}


def bake(project: Project, services: Iterable[Service], options: BuildOptions) -> dict[str, Any]:
    """The builds as a file for ``docker buildx bake``: what ``build --print`` shows."""
    targets: dict[str, Any] = {}
    for service in services:
        spec = service.get("build")
        if spec is None:
            continue
        query = _query(service, project, spec, options)
        target: dict[str, Any] = {"context": spec["context"]}
        if spec.get("additional_contexts"):
            target["contexts"] = dict(spec["additional_contexts"])
        target["dockerfile"] = os.path.normpath(os.path.join(spec["context"], spec.get("dockerfile") or "Dockerfile")) \
            if not is_remote(spec["context"]) else spec.get("dockerfile") or "Dockerfile"
        if spec.get("dockerfile_inline"):
            target.pop("dockerfile")
            target["dockerfile-inline"] = spec["dockerfile_inline"]
        rows = (("args", query["buildargs"]), ("labels", spec.get("labels")),
                ("tags", [query["t"], *(spec.get("tags") or ())]), ("cache-from", spec.get("cache_from")),
                ("cache-to", spec.get("cache_to")), ("target", spec.get("target")),
                ("platforms", spec.get("platforms")),
                ("network", spec.get("network")), ("shm-size", spec.get("shm_size")), ("no-cache", query["nocache"]),
                ("pull", query["pull"]), ("entitlements", spec.get("entitlements")))
        target.update({name: value for name, value in rows if value})
        target["output"] = ["type=docker"]
        targets[service.name] = target
    return {"group": {"default": {"targets": sorted(targets)}}, "target": targets}
