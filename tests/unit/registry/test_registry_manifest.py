"""Choosing from a list of platforms, endpoints, credentials."""

import base64
import json
from pathlib import Path

import pytest

from solva.errors import InvalidParameter, NotFound
from solva.registry import auth
from solva.registry.config import RegistryConfig, endpoints
from solva.registry.manifest import Platform, choose, media_type_of, parse_platform


def row(architecture: str, variant: str = "", os: str = "linux") -> dict[str, object]:
    platform = {"os": os, "architecture": architecture, "variant": variant}
    return {"digest": f"{architecture}{variant}", "size": 1, "mediaType": "x", "platform": platform}


LIST = {"manifests": [row("amd64", os="windows"), row("unknown", os="unknown"), row("arm", "v6"), row("arm", "v7"),
                      row("amd64"), row("amd64", "v3"), row("arm64", "v8")]}


@pytest.mark.parametrize(("wanted", "digest"), [
    ("linux/amd64", "amd64"), ("linux/arm/v7", "armv7"), ("linux/arm/v6", "armv6"), ("linux/arm", "armv7"),
    ("linux/arm64", "arm64v8"), ("arm64", "arm64v8"), ("linux/arm64/v8", "arm64v8"), ("linux/x86_64", "amd64"),
    ("linux/amd64/v3", "amd64v3"),
])
def test_choice(wanted: str, digest: str) -> None:
    assert choose(LIST, parse_platform(wanted)).digest == digest


def test_no_match() -> None:
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        choose(LIST, Platform("linux", "s390x"))


def test_schema_one_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="schema 1 support has been removed"):
        media_type_of({"schemaVersion": 1}, "")


def test_mirrors_come_first() -> None:
    config = RegistryConfig({"docker.io": ["http://127.0.0.1:5050/"]})
    assert [(item.base, item.mirror) for item in endpoints(config, "docker.io")] == [
        ("http://127.0.0.1:5050", True), ("https://registry-1.docker.io", False)]
    assert [item.base for item in endpoints(config, "ghcr.io")] == ["https://ghcr.io"]
    assert [item.base for item in endpoints(config, "127.0.0.1:5")] == ["https://127.0.0.1:5", "http://127.0.0.1:5"]


def test_header_credentials() -> None:
    header = base64.urlsafe_b64encode(json.dumps({"username": "u", "password": "p?>"}).encode()).decode()
    found = auth.from_header(header)
    assert found is not None
    assert (found.username, found.password) == ("u", "p?>")
    assert auth.from_header("") is None
    with pytest.raises(InvalidParameter, match="invalid X-Registry-Auth header"):
        auth.from_header("@@@")


async def _file(path: Path, domain: str) -> auth.RegistryAuth | None:
    return await auth.from_file(domain, path)


def test_file_credentials(tmp_path: Path) -> None:
    import asyncio

    path = tmp_path / "config.json"
    pair = base64.b64encode(b"me:secret").decode()
    path.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": pair}, "r:5": {"auth": pair}}}))
    for domain in ("docker.io", "r:5"):
        found = asyncio.run(_file(path, domain))
        assert found is not None
        assert (found.username, found.password) == ("me", "secret")
    assert asyncio.run(_file(path, "other")) is None
