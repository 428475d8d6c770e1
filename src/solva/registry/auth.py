"""Credentials of registries: the API's header, ``~/.docker/config.json``, credential helpers."""

import asyncio
import base64
import binascii
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solva.errors import InvalidParameter

HUB_KEY = "https://index.docker.io/v1/"
_HELPER_TIMEOUT = 30.0
_TOKEN_USER = "<token>"


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """One registry's credentials; all empty: anonymous."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    server_address: str = ""

    @property
    def basic(self) -> str:
        """The value of a Basic header, or ``""``."""
        if not self.username:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def from_wire(value: dict[str, Any]) -> RegistryAuth:
    """An AuthConfig object of the API."""
    username, password = value.get("username") or "", value.get("password") or ""
    if not username and value.get("auth"):
        username, password = _pair(value["auth"])
    return RegistryAuth(username, password, value.get("identitytoken") or "", value.get("registrytoken") or "",
                        value.get("serveraddress") or "")


def from_header(header: str) -> RegistryAuth | None:
    """``X-Registry-Auth``: base64url of an AuthConfig; None when it is empty. InvalidParameter when it is no such."""
    value = _decode_header(header)
    return from_wire(value) if value else None


def from_config_header(header: str) -> dict[str, RegistryAuth]:
    """``X-Registry-Config`` of a build: registry -> credentials."""
    return {host: from_wire(value) for host, value in _decode_header(header).items() if isinstance(value, dict)}


def _decode_header(header: str) -> dict[str, Any]:
    if not header:
        return {}
    try:
        padded = header.replace("+", "-").replace("/", "_") + "=" * (-len(header) % 4)
        text = base64.b64decode(padded, b"-_", validate=True)
        value = json.loads(text) if text.strip() else {}
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(f"invalid X-Registry-Auth header: {error}") from error
    if not isinstance(value, dict):
        raise InvalidParameter("invalid X-Registry-Auth header: not a JSON object")
    return value


def _pair(encoded: str) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return username, password.rstrip("\0")


def config_path() -> Path:
    """The file ``docker login`` writes."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


async def from_file(domain: str, path: Path | None = None) -> RegistryAuth | None:
    """Credentials of a registry in Docker's configuration file, from a helper where it names one."""
    try:
        config = json.loads((path or config_path()).read_text())
    except (OSError, ValueError):
        return None
    keys = [HUB_KEY, "index.docker.io", "docker.io"] if domain == "docker.io" else [
        domain, f"https://{domain}", f"http://{domain}", f"https://{domain}/v1/", f"https://{domain}/v2/"]
    helpers = config.get("credHelpers") or {}
    for key in keys:
        if key in helpers:
            return await _ask_helper(helpers[key], key)
    auths = config.get("auths") or {}
    if config.get("credsStore"):
        for key in keys:
            if key in auths and (found := await _ask_helper(config["credsStore"], key)) is not None:
                return found
    for key in keys:
        entry = auths.get(key)
        if isinstance(entry, dict) and (entry.get("auth") or entry.get("identitytoken") or entry.get("username")):
            return from_wire(entry)
    return None


async def _ask_helper(name: str, server: str) -> RegistryAuth | None:
    """``docker-credential-<name> get``; None when it has nothing (or is not installed)."""
    if "/" in name:
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            f"docker-credential-{name}", "get", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    except OSError:
        return None
    try:
        output, _ = await asyncio.wait_for(process.communicate(server.encode()), _HELPER_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    try:
        value = json.loads(output)
        username, secret = value["Username"], value["Secret"]
    except (ValueError, KeyError, TypeError):
        return None
    if username == _TOKEN_USER:
        return RegistryAuth(identity_token=secret, server_address=server)
    return RegistryAuth(username, secret, server_address=server)
