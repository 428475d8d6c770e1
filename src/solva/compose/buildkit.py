"""Builds that need BuildKit's protocol: secrets, ssh agents, other contexts, entitlements, caches to write.

A build operation's ``session`` says what: names and places, never a secret itself, for plans are written to files.
"""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load.paths import is_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from solva.client.buildkit.request import BuildRequest
    from solva.compose.execute import Run
    from solva.compose.plan import Op
    from solva.compose.project import Project, Service

_NEEDS = ("ssh", "secrets", "additional_contexts", "entitlements", "cache_to", "no_cache_filter")


def session_of(project: Project, service: Service, spec: Mapping[str, Any], ssh: str = "") -> dict[str, Any]:
    """What of ``build`` only BuildKit can do; {} where there is nothing of it. ``ssh``: of the command line."""
    if not ssh and not any(spec.get(attribute) for attribute in _NEEDS):
        return {}
    keys = [ssh] if ssh else spec.get("ssh") or ()
    if isinstance(keys, dict):
        keys = [f"{name}={path}" if path else name for name, path in keys.items()]
    return {"ssh": list(keys), "secrets": [_secret(project, service, row) for row in spec.get("secrets") or ()],
            "contexts": {name: _context(project, service, name, value)
                         for name, value in (spec.get("additional_contexts") or {}).items()},
            "entitlements": list(spec.get("entitlements") or ()), "cache_to": list(spec.get("cache_to") or ()),
            "no_cache_filter": list(spec.get("no_cache_filter") or ())}


def _secret(project: Project, service: Service, row: Any) -> dict[str, str]:
    source = row if isinstance(row, str) else row["source"]
    target = "" if isinstance(row, str) else row.get("target") or ""
    definition = project.secrets.get(source)
    if definition is None:
        raise ComposeError(f'service "{service.name}" refers to undefined build secret {source}: invalid compose '
                           "project")
    if definition.get("external"):
        raise ComposeError(f"build secret {source} is external: an engine outside a swarm has none")
    return {"id": target or source, "source": source, "file": definition.get("file") or "",
            "environment": definition.get("environment") or ""}


def _context(project: Project, service: Service, name: str, value: str) -> str:
    if not value.startswith("service:"):
        return value
    other = project.services.get(value[8:])
    if other is None:
        raise ComposeError(f"services.{service.name}.build.additional_contexts.{name}: no service {value[8:]!r}")
    return f"docker-image://{other.image(project.name)}"


def build(op: Op, run: Run) -> None:
    """Build by a session; ComposeError with the build's own words and the Dockerfile's lines."""
    from solva.client.buildkit import build as client

    subject, service = op.subject, op.body["service"]
    begun: set[str] = set()

    def show(message: Any) -> None:
        for vertex in message.vertexes:
            if vertex.HasField("started") and vertex.digest not in begun:
                begun.add(vertex.digest)
                run.progress.measure(subject, vertex.name)
                if not op.body.get("quiet"):
                    run.progress.log(service, vertex.name)
        for log in () if op.body.get("quiet") else message.logs:
            for line in log.msg.decode("utf-8", "replace").splitlines():
                run.progress.log(service, line)

    if not client.supported(run.api):
        raise ComposeError(f"services.{service}.build asks for what only BuildKit can do, and the engine does not "
                           "serve its clients")
    try:
        client.build(run.api, request_of(op.body, run), show)
    except client.BuildFailed as error:
        excerpt = f"{error.excerpt}\n" if error.excerpt else ""
        raise ComposeError(f"{excerpt}target {service}: failed to solve: {error}") from None


def request_of(body: Mapping[str, Any], run: Run) -> BuildRequest:
    """The operation as BuildKit is asked. ComposeError for a secret or an agent that is not there."""
    from solva.client.buildkit.request import BuildRequest, Output

    session, query = body["session"], body["query"]
    options = _options(body, session, query)
    folders = _folders(body, options)
    for name, value in session["contexts"].items():
        if value.startswith("docker-image://") or is_remote(value):
            options[f"context:{name}"] = value
        elif os.path.isdir(value):
            folders[name] = value
            options[f"context:{name}"] = f"local:{name}"
        else:
            raise ComposeError(f"services.{body['service']}.build.additional_contexts.{name}: {value} is not a "
                               "directory")
    names = ",".join([query["t"], *body["tags"]])
    return BuildRequest(
        options=options, folders=folders, secrets={row["id"]: _content(row) for row in session["secrets"]},
        agents=dict(_agent(text) for text in session["ssh"]), credentials=run.login,
        outputs=(Output("moby", {"name": names}),), entitlements=tuple(session["entitlements"]),
        cache_from=tuple(_cache(text) for text in query.get("cachefrom") or ()),
        cache_to=tuple(_cache(text) for text in session["cache_to"]),
        shared_key=f"solva:{folders['context']}" if "context" in folders else "")


def check_request(body: Mapping[str, Any]) -> BuildRequest:
    """The operation's Dockerfile, to ask about."""
    from solva.client.buildkit.request import BuildRequest

    options = _options(body, {"no_cache_filter": ()}, body["query"])
    return BuildRequest(options=options, folders=_folders(body, options))


def _options(body: Mapping[str, Any], session: Mapping[str, Any], query: Mapping[str, Any]) -> dict[str, str]:
    found = {f"build-arg:{name}": str(value) for name, value in query["buildargs"].items()}
    found |= {f"label:{name}": str(value) for name, value in (query.get("labels") or {}).items()}
    for option, key in (("target", "target"), ("platform", "platform"), ("force-network-mode", "networkmode")):
        if query.get(key):
            found[option] = str(query[key])
    if query.get("nocache"):
        found["no-cache"] = ""
    elif session["no_cache_filter"]:
        found["no-cache"] = ",".join(session["no_cache_filter"])
    if query.get("pull"):
        found["image-resolve-mode"] = "pull"
    if query.get("extrahosts"):
        found["add-hosts"] = ",".join(row.replace(":", "=", 1) for row in query["extrahosts"].split(","))
    if query.get("shmsize"):
        found["shm-size"] = str(query["shmsize"])
    if query.get("ulimits"):
        found["ulimit"] = ",".join(f"{row['Name']}={row['Soft']}:{row['Hard']}" for row in query["ulimits"])
    return found


def _folders(body: Mapping[str, Any], options: dict[str, str]) -> dict[str, str]:
    context = body["context"]
    if is_remote(context):
        options["context"], options["filename"] = context, body["dockerfile"]
        return {}
    if not os.path.isdir(context):
        raise ComposeError(f'unable to prepare context: path "{context}" not found')
    if body["inline"]:
        options["filename"] = "Dockerfile"
        return {"context": context, "dockerfile": _inline(body["inline"])}
    path = os.path.normpath(os.path.join(context, body["dockerfile"]))
    if not os.path.isfile(path):
        raise ComposeError(f"failed to read dockerfile: open {path}: no such file or directory")
    options["filename"] = os.path.basename(path)
    return {"context": context, "dockerfile": os.path.dirname(path)}


def _inline(text: str) -> str:
    """A directory of the Dockerfile alone, gone with this process."""
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="solva-build-")
    atexit.register(shutil.rmtree, folder, True)
    with open(os.path.join(folder, "Dockerfile"), "w", encoding="utf-8") as file:
        file.write(text)
    return folder


def _content(row: Mapping[str, str]) -> bytes:
    if row["environment"]:
        if row["environment"] not in os.environ:
            raise ComposeError(f'environment variable "{row["environment"]}" required by build secret '
                               f'"{row["source"]}" is not set')
        return os.environ[row["environment"]].encode()
    try:
        with open(row["file"], "rb") as file:
            return file.read()
    except OSError as error:
        raise ComposeError(f'build secret "{row["source"]}": {row["file"]}: {error.strerror}') from None


def _agent(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    path = path or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise ComposeError(f'invalid empty ssh agent socket "{name}", make sure SSH_AUTH_SOCK is set')
    return name or "default", path


def _cache(text: str) -> tuple[str, dict[str, str]]:
    if "=" not in text:
        return "registry", {"ref": text}
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    return fields.pop("type", "registry"), fields
