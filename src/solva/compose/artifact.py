"""A compose application as an OCI artifact: one layer a compose file, and the env files where that is wanted. Pure but
for reading the files."""

from __future__ import annotations

import os

from solva.compose import labels
from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from solva.compose.project import Project

ARTIFACT = "application/vnd.docker.compose.project"
FILE = "application/vnd.docker.compose.file+yaml"
ENV_FILE = "application/vnd.docker.compose.envfile"
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_1_0 = "application/vnd.docker.compose.config.empty.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_SECRETS = (("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), ("AWS access key", r"\bAKIA[0-9A-Z]{16}\b"),
            ("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
            ("JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"),
            ("password in a URL", r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@$]+@"))


class Layer:
    """One file: media type, content, annotations."""

    __slots__ = ("annotations", "data", "media_type")

    def __init__(self, media_type: str, data: bytes, **annotations: str) -> None:
        self.media_type = media_type
        self.data = data
        self.annotations = {"com.docker.compose.version": labels.COMPOSE_VERSION,
                            **{f"com.docker.compose.{key}": value for key, value in annotations.items()}}

    @property
    def digest(self) -> str:
        from hashlib import sha256

        return "sha256:" + sha256(self.data).hexdigest()

    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data),
                "annotations": self.annotations}


def layers(project: Project, *, with_env: bool) -> list[Layer]:
    """The project's files with what they refer to under the names it has in the artifact."""
    result: list[Layer] = []
    extended: dict[str, str] = {}
    env_files: dict[str, str] = {}
    for path in project.files:
        result.append(Layer(FILE, _rewritten(path, extended, env_files), file=os.path.basename(path)))
    done: set[str] = set()
    while left := sorted(set(extended) - done):
        for path in left:
            done.add(path)
            result.append(Layer(FILE, _rewritten(path, extended, env_files), file=extended[path], extends="true"))
    if with_env:
        for path, name in sorted(env_files.items()):
            if os.path.isfile(path):
                with open(path, "rb") as stream:
                    result.append(Layer(ENV_FILE, stream.read(), envfile=name))
    return result


def _rewritten(path: str, extended: dict[str, str], env_files: dict[str, str]) -> bytes:
    """A compose file's text with the paths of env files and extended files replaced by their names in the artifact."""
    import yaml

    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    folder = os.path.dirname(path)
    edits: list[tuple[int, int, str]] = []
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for service in (node for _, node in _entries(_child(root, "services"))):
        for node in _env_nodes(_child(service, "env_file")):
            target = os.path.normpath(os.path.join(folder, node.value))
            env_files[target] = _name(target, "env")
            edits.append((node.start_mark.index, node.end_mark.index, env_files[target]))
        node = _child(_child(service, "extends"), "file")
        target = os.path.normpath(os.path.join(folder, node.value)) if node is not None else ""
        if target and os.path.isfile(target):
            extended[target] = _name(target, "yaml")
            edits.append((node.start_mark.index, node.end_mark.index, extended[target]))
    for start, end, name in sorted(edits, reverse=True):
        text = text[:start] + name + text[end:]
    return text.encode()


def _name(path: str, suffix: str) -> str:
    from hashlib import sha256

    return f"{sha256(path.encode()).hexdigest()}.{suffix}"


def _entries(node: Any) -> Iterator[tuple[str, Any]]:
    for key, value in (node.value if node is not None and node.id == "mapping" else ()):
        yield key.value, value


def _child(node: Any, name: str) -> Any:
    return next((value for key, value in _entries(node) if key == name), None)


def _env_nodes(node: Any) -> Iterator[Any]:
    if node is None:
        return
    for item in node.value if node.id == "sequence" else [node]:
        found = _child(item, "path") if item.id == "mapping" else item
        if found is not None:
            yield found


def manifest(found: list[Layer], version: str, created: str) -> tuple[Layer, bytes]:
    """(the config's layer, the manifest's bytes) in the format of OCI ``version`` 1.0 or 1.1."""
    import json

    config = Layer(EMPTY if version == "1.1" else EMPTY_1_0, b"{}")
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST}
    if version == "1.1":
        document["artifactType"] = ARTIFACT
    document["config"] = {"mediaType": config.media_type, "digest": config.digest, "size": 2}
    document["layers"] = [layer.descriptor() for layer in found]
    document["annotations"] = {"org.opencontainers.image.created": created}
    return config, json.dumps(document).encode()


def objections(project: Project, *, with_env: bool) -> list[str]:
    """Questions to be agreed to before anything is published; ComposeError for what cannot be."""
    only_built = sorted(name for name, service in project.services.items()
                        if service.get("build") is not None and not service.get("image"))
    if only_built:
        raise ComposeError("your Compose stack cannot be published as it only contains a build section for service(s):"
                           + "".join(f'\n- "{name}"' for name in only_built))
    exposed = [f'service "{name}" has env_file declared.' for name, service in sorted(project.services.items())
               if service.get("env_file")]
    exposed += [f'service "{name}" has environment variable(s) declared.'
                for name, service in sorted(project.services.items()) if service.get("environment")]
    exposed += [f'config "{name}" is declare as an environment variable.'
                for name, entry in sorted(project.configs.items()) if entry.get("environment")]
    if exposed and not with_env:
        raise ComposeError("\n".join(exposed) + "\nTo avoid leaking sensitive data, you must either explicitly allow "
                           "the sending of environment variables by using the --with-env flag,\nor remove sensitive "
                           "data from your Compose configuration")
    questions = []
    bound = [f"{name}: {mount['source']} at {mount['target']}" for name, service in sorted(project.services.items())
             for mount in service.get("volumes") or () if mount["type"] == "bind"]
    if bound:
        questions.append("you are about to publish bind mounts declaration within your OCI artifact.\nonly the bind "
                         "mount declarations will be added to the OCI artifact (not content)\nplease double check "
                         "that you are not mounting potential user's sensitive directories or data\n"
                         + "\n".join(bound) + "\nAre you ok to publish these bind mount declarations?")
    if exposed:
        questions.append("you are about to publish environment variables within your OCI artifact.\nplease double "
                         "check that you are not leaking sensitive data\n" + "\n".join(exposed)
                         + "\nAre you ok to publish these environment variables?")
    return questions


def sensitive(found: list[Layer]) -> list[str]:
    """What looks like a secret in what would be published, by its kind and file."""
    import re

    result = []
    for layer in found:
        text = layer.data.decode(errors="replace")
        name = layer.annotations.get("com.docker.compose.file") or layer.annotations["com.docker.compose.envfile"]
        result += [f"{kind} in {name}" for kind, pattern in _SECRETS if re.search(pattern, text)]
    return result
