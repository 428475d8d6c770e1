"""Layers depend on nothing but content; images name what they hold."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from standins.archive import save
from standins.layers import EPOCH, Layer, pack, write_tar
from standins.oci import Image, Settings, digest_of, make_image


def fill(root: Path, names: list[str]) -> None:
    """A small tree; the order of `names` is the order of creation."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name}")
        (root / name).chmod(0o640)
    os.link(root / "a/one", root / "b-link")
    os.symlink("a/one", root / "c-symlink")


def tar_of(root: Path) -> bytes:
    out = io.BytesIO()
    write_tar(root, out)
    return out.getvalue()


def entries(content: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return tar.getmembers()


def test_the_same_content_gives_the_same_tar(tmp_path: Path) -> None:
    names = ["z/last", "a/one", "a/two", "m"]
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    fill(tmp_path / "x", names)
    fill(tmp_path / "y", names[::-1])
    os.utime(tmp_path / "y/a/one", (1, 1))
    assert tar_of(tmp_path / "x") == tar_of(tmp_path / "y")


def test_entries_are_sorted_with_fixed_times(tmp_path: Path) -> None:
    fill(tmp_path, ["z/last", "a/one", "m"])
    found = entries(tar_of(tmp_path))
    assert [entry.name for entry in found] == ["a", "a/one", "b-link", "c-symlink", "m", "z", "z/last"]
    assert {entry.mtime for entry in found} == {EPOCH}
    assert found[1].mode == 0o640
    assert (found[2].type, found[2].linkname) == (tarfile.LNKTYPE, "a/one")
    assert (found[3].type, found[3].linkname) == (tarfile.SYMTYPE, "a/one")
    assert {entry.uname for entry in found} == {""}


def test_what_is_skipped_stays_out_with_all_below(tmp_path: Path) -> None:
    fill(tmp_path, ["a/one", "cache/x/y"])
    out = io.BytesIO()
    write_tar(tmp_path, out, lambda name: name == "cache")
    assert not [entry for entry in entries(out.getvalue()) if entry.name.startswith("cache")]


@pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts of overlayfs are devices, which only root makes")
def test_whiteouts_and_opaque_directories_of_overlayfs_become_those_of_layers(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mknod(tmp_path / "etc/gone", 0o020000, os.makedev(0, 0))
    try:
        os.setxattr(tmp_path / "etc", "trusted.overlay.opaque", b"y")
    except OSError as error:
        pytest.skip(f"no trusted attributes here: {error.strerror}")
    assert [entry.name for entry in entries(tar_of(tmp_path))] == ["etc", "etc/.wh..wh..opq", "etc/.wh.gone"]


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    (tmp_path / "root").mkdir()
    fill(tmp_path / "root", ["a/one"])
    return pack(tmp_path / "root", tmp_path / "layer")


def test_digests_are_those_of_what_is_in_the_file(layer: Layer) -> None:
    packed = layer.path.read_bytes()
    assert layer.size == len(packed)
    assert layer.digest == digest_of(packed)
    assert layer.diff_id == digest_of(gzip.decompress(packed))


def test_zstd_layers_hold_the_same_tar(tmp_path: Path, layer: Layer) -> None:
    import zstandard

    other = pack(tmp_path / "root", tmp_path / "other", "zstd")
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(other.path.read_bytes())
    assert other.diff_id == layer.diff_id == digest_of(plain)
    assert other.digest != layer.digest


def image_of(layer: Layer, **more: object) -> Image:
    settings = Settings(
        env={"PATH": "/bin"}, cmd=["sh"], entrypoint=["/e"], workdir="/w", ports=["1/tcp"], volumes=["/v"]
    )
    return make_image("library/x", ("1", "2"), settings, [(layer, "made")], **more)  # type: ignore[arg-type]


def test_the_configuration_says_what_the_settings_say(layer: Layer) -> None:
    config = json.loads(image_of(layer).config)
    assert config["config"] == {
        "Env": ["PATH=/bin"], "Entrypoint": ["/e"], "Cmd": ["sh"], "WorkingDir": "/w",
        "ExposedPorts": {"1/tcp": {}}, "Volumes": {"/v": {}},
    }  # fmt: skip
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer.diff_id]}
    assert next(entry for entry in config["history"] if not entry.get("empty_layer"))["created_by"] == "made"
    assert (config["os"], bool(config["architecture"])) == ("linux", True)


@pytest.mark.parametrize("flavour", ["docker", "oci"])
def test_a_manifest_names_its_blobs(layer: Layer, flavour: str) -> None:
    image = image_of(layer, flavour=flavour)
    manifest = json.loads(image.manifest.content)
    named = [manifest["config"], *manifest["layers"]]
    sizes = {digest: size for digest, size, _ in image.blobs()}
    assert {each["digest"]: each["size"] for each in named} == sizes
    assert manifest["mediaType"] == image.manifest.media_type
    assert image.manifest.digest == f"sha256:{hashlib.sha256(image.manifest.content).hexdigest()}"
    assert image.top is image.manifest


def test_an_index_names_the_manifest_of_this_platform(layer: Layer) -> None:
    image = image_of(layer, with_index=True, flavour="oci")
    assert image.index is not None
    (entry,) = json.loads(image.index.content)["manifests"]
    assert (entry["digest"], entry["size"]) == (image.manifest.digest, len(image.manifest.content))
    assert entry["platform"]["os"] == "linux"
    assert image.top is image.index


def test_dockers_media_types_know_no_zstd(tmp_path: Path, layer: Layer) -> None:
    other = pack(tmp_path / "root", tmp_path / "other", "zstd")
    with pytest.raises(ValueError, match="no zstd layer"):
        image_of(other, flavour="docker")


def test_an_archive_holds_every_blob_under_its_digest(tmp_path: Path, layer: Layer) -> None:
    save(image_of(layer), tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        content = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    (entry,) = json.loads(content["manifest.json"])
    assert entry["RepoTags"] == ["x:1", "x:2"]
    for name in (entry["Config"], *entry["Layers"]):
        assert hashlib.sha256(content[name]).hexdigest() == name.rpartition("/")[2]
