"""What is pushed to the registry is served with the digests the manifests name; every stand-in, or busybox alone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from standins.daemon import Daemon
from standins.images import RECIPES, Recipe
from standins.oci import Image, digest_of
from standins.push import Registry
from standins.stages import Cache, Made, cache_directory, make_all


def built() -> list[Recipe]:
    """Recipes whose every layer is in the machine's cache: building them is not this test's business."""
    cache = Cache(cache_directory())
    found = []
    for recipe in RECIPES:
        line = [recipe.stage]
        while line[0].parent is not None:
            line.insert(0, line[0].parent)
        if all((cache.stages / f"{stage.name}-{stage.key()}").exists() for stage in line):
            found.append(recipe)
    return found


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    root = tmp_path_factory.mktemp("registry")
    before = os.environ.get("SOLVA_STANDINS_RUN")
    os.environ["SOLVA_STANDINS_RUN"] = str(root / "run")
    daemon = Daemon(address, root / "storage")
    try:
        assert daemon.start()
        assert not daemon.start(), "it runs already"
        yield Registry(address)
    finally:
        assert daemon.stop()
        if before is None:
            del os.environ["SOLVA_STANDINS_RUN"]
        else:
            os.environ["SOLVA_STANDINS_RUN"] = before


@pytest.fixture(scope="module")
def images() -> list[Image]:
    recipes = built()
    if not recipes:
        pytest.skip("no stand-in is built here: `make standins` does that")
    made: dict[str, Made] = make_all(Cache(cache_directory()), [each.stage for each in recipes], lambda _: None)
    return [recipe.image(made) for recipe in recipes]


def fetch(registry: Registry, path: str, accept: str = "*/*") -> bytes:
    status, _, body = registry.request("GET", path, headers={"Accept": accept})
    assert status == 200, path
    return body


def test_every_image_is_served_with_the_right_digests(registry: Registry, images: list[Image]) -> None:
    known: dict[str, str] = {}
    for image in images:
        assert registry.push(image, known)
        for tag in image.tags:
            top = fetch(registry, f"/v2/{image.repository}/manifests/{tag}", image.top.media_type)
            assert digest_of(top) == image.top.digest
        document = json.loads(top)
        if image.index is not None:
            (entry,) = document["manifests"]
            document = json.loads(
                fetch(registry, f"/v2/{image.repository}/manifests/{entry['digest']}", entry["mediaType"])
            )
        for blob in (document["config"], *document["layers"]):
            content = fetch(registry, f"/v2/{image.repository}/blobs/{blob['digest']}")
            assert (len(content), digest_of(content)) == (blob["size"], blob["digest"])


def test_a_second_push_brings_nothing(registry: Registry, images: list[Image]) -> None:
    known: dict[str, str] = {}
    for image in images:
        registry.push(image, known)
    assert not any(registry.push(image, {}) for image in images)
