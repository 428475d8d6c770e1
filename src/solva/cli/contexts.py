"""Contexts in the layout that Docker's client keeps under ``~/.docker/contexts``."""

from __future__ import annotations

import os

from solva.cli.errors import CommandError
from solva.client.fastjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Context:
    """A named endpoint."""

    __slots__ = ("description", "folder", "host", "metadata", "name", "skip_verify", "tls_folder")

    def __init__(self, metadata: dict[str, Any], folder: str, tls_folder: str) -> None:
        endpoint = (metadata.get("Endpoints") or {}).get("docker") or {}
        self.name = str(metadata.get("Name", ""))
        self.description = str((metadata.get("Metadata") or {}).get("Description") or "")
        self.host = str(endpoint.get("Host", ""))
        self.skip_verify = bool(endpoint.get("SkipTLSVerify"))
        self.metadata = metadata
        self.folder = folder
        self.tls_folder = tls_folder

    def tls_context(self, url: str) -> Any:
        """The TLS context of the endpoint; None when it has no TLS material."""
        folder = os.path.join(self.tls_folder, "docker")
        if not url.startswith(("tcp://", "https://")) or not (os.path.isdir(folder) or self.skip_verify):
            return None
        from solva.client.remote import tls_context

        return tls_context(f"{folder}/ca.pem", f"{folder}/cert.pem", f"{folder}/key.pem", verify=not self.skip_verify)


def _folders(config_dir: str, name: str) -> tuple[str, str]:
    import hashlib

    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{config_dir}/contexts/meta/{digest}", f"{config_dir}/contexts/tls/{digest}"


def load(config_dir: str, name: str) -> Context:
    """The context called ``name``; CommandError when there is none."""
    folder, tls = _folders(config_dir, name)
    try:
        with open(f"{folder}/meta.json", "rb") as file:
            return Context(loads(file.read()), folder, tls)
    except FileNotFoundError:
        raise CommandError(f'context "{name}": context not found: open {folder}/meta.json: no such file or directory') \
            from None
    except (OSError, ValueError) as error:
        raise CommandError(f'context "{name}": {error}') from None


def all_of(config_dir: str) -> list[Context]:
    """Every stored context, by name."""
    root = f"{config_dir}/contexts/meta"
    found = []
    for entry in os.listdir(root) if os.path.isdir(root) else []:
        try:
            with open(f"{root}/{entry}/meta.json", "rb") as file:
                found.append(Context(loads(file.read()), f"{root}/{entry}", f"{config_dir}/contexts/tls/{entry}"))
        except (OSError, ValueError):
            continue  # half-written or foreign: other contexts still count
    return sorted(found, key=lambda context: context.name)


def check_name(name: str) -> None:
    """CommandError for a name that a context cannot have."""
    if name == "default":
        raise CommandError('"default" is a reserved context name')
    if not name or not name[0].isalnum() or any(not (char.isalnum() or char in "_.+-") for char in name):
        raise CommandError(f'context name "{name}" is invalid, names are validated against regexp '
                           '"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"')


def save(config_dir: str, name: str, description: str, endpoint: dict[str, str]) -> None:
    """Store a context: ``host``, and perhaps ``ca``, ``cert``, ``key`` files and ``skip-tls-verify``."""
    import shutil

    folder, tls = _folders(config_dir, name)
    if os.path.exists(f"{folder}/meta.json"):
        raise CommandError(f'context "{name}" already exists')
    os.makedirs(folder, mode=0o755, exist_ok=True)
    metadata = {"Name": name, "Metadata": {"Description": description} if description else {}, "Endpoints": {
        "docker": {"Host": endpoint.get("host", ""), "SkipTLSVerify": endpoint.get("skip-tls-verify") == "true"}}}
    with open(f"{folder}/meta.json", "w", encoding="utf-8") as file:
        file.write(dumps(metadata))
    for key in ("ca", "cert", "key"):
        if endpoint.get(key):
            os.makedirs(f"{tls}/docker", mode=0o700, exist_ok=True)
            shutil.copyfile(endpoint[key], f"{tls}/docker/{key}.pem")


def remove(config_dir: str, name: str) -> None:
    """Delete a context; CommandError when there is none."""
    import shutil

    context = load(config_dir, name)
    shutil.rmtree(context.folder)
    shutil.rmtree(context.tls_folder, ignore_errors=True)
