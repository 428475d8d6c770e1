"""Compose files from git repositories and registries: real ones of the test's own, on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from solva.compose import artifact
from solva.compose.errors import ComposeError
from solva.compose.load.lookup import locate
from solva.compose.load.options import LoadOptions
from solva.compose.load.pipeline import load_project
from solva.compose.load.remote import git_reference
from solva.compose.project import Project

MAIN = """services:
  far:
    image: "far:${V:-0}"
    build: .
    env_file: e.env
    volumes: ["./d:/d"]
"""
OTHER = "services: {base: {image: b, build: ./x, hostname: h}}\n"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A repository's git:// URL: branches main, dev/x, feature/main; tag v1; a directory without a compose file."""
    root = tmp_path_factory.mktemp("git")
    source = root / "source"
    (source / "sub").mkdir(parents=True)
    git(source, "init", "-q", "-b", "main")
    (source / "compose.yaml").write_text(MAIN)
    (source / "e.env").write_text("A=1\n")
    (source / ".env").write_text("V=9\n")
    (source / "sub/other.yml").write_text(OTHER)
    (source / "out.yml").symlink_to("/etc/passwd")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "one")
    git(source, "tag", "v1")
    for branch in ("dev/x", "feature/main"):
        git(source, "checkout", "-qb", branch, "main")
        (source / "compose.yaml").write_text(MAIN.replace("far:$", "dev:$"))
        git(source, "commit", "-qam", branch)
    git(source, "checkout", "-q", "main")
    git(source, "clone", "-q", "--bare", str(source), str(root / "served/app.git"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = subprocess.Popen([f"{git(root, '--exec-path').strip()}/git-daemon", f"--base-path={root}/served",
                               "--export-all", "--listen=127.0.0.1", f"--port={port}"], stderr=subprocess.DEVNULL)
    url = f"git://127.0.0.1:{port}/app.git"
    deadline = time.monotonic() + 60
    while subprocess.run(["git", "ls-remote", url], capture_output=True, check=False).returncode:
        assert daemon.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield url
    daemon.terminate()
    daemon.wait()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/docker-compose"


def load(folder: Path, text: str = "", *files: str) -> Project:
    folder.mkdir(exist_ok=True)
    if text:
        (folder / "compose.yaml").write_text(text)
    location = locate(list(files), "", [], {"HOME": "/root"}, str(folder))
    return load_project(location.files, LoadOptions(location.paths_from, location.environment, name="p",
                                                    warn=lambda _: None))


def only(cache: Path) -> Path:
    found = list(cache.iterdir())
    assert len(found) == 1
    return found[0]


def test_include_from_git(served: str, tmp_path: Path, cache: Path) -> None:
    far = load(tmp_path / "p", f"include: ['{served}']\n").services["far"]
    root = only(cache)
    assert far.get("image") == "far:9"      # its own .env
    assert far.get("build")["context"] == str(root)
    assert far.get("environment") == {"A": "1"}
    assert far.get("volumes")[0]["source"] == f"{root}/d"
    assert (root / ".git").is_dir()


def test_the_named_branch_is_taken_and_not_one_that_ends_so(served: str, tmp_path: Path) -> None:
    assert load(tmp_path / "a", f"include: ['{served}#main']\n").services["far"].get("image") == "far:9"
    assert load(tmp_path / "b", f"include: ['{served}#dev/x']\n").services["far"].get("image") == "dev:9"
    assert load(tmp_path / "c", f"include: ['{served}#v1:sub/other.yml']\n").services["base"].get("image") == "b"


def test_extends_and_files_from_git(served: str, tmp_path: Path, cache: Path) -> None:
    text = f"services: {{a: {{image: x, extends: {{file: '{served}#main:sub/other.yml', service: base}}}}}}\n"
    extended = load(tmp_path / "a", text).services["a"]
    root = only(cache)
    assert (extended.get("image"), extended.get("hostname")) == ("x", "h")
    assert extended.get("build")["context"] == f"{root}/x"      # from the repository's root, as Docker Compose has it
    named = load(tmp_path / "b", "", f"{served}#v1:sub/other.yml").services["base"]
    assert named.get("build")["context"] == f"{root}/sub/x"


def test_what_could_not_be_had_is_said_and_leaves_nothing(served: str, tmp_path: Path, cache: Path) -> None:
    for item, words in (
        (f"{served}#nope", "repository does not contain ref"),
        (served.replace("app", "zip"), "failed to access repository at git://"),
        (f"{served}#main:../x", "git subdirectory path traversal detected: ../x"),
        (f"{served}#{'0' * 40}", "failed to fetch"),
        ("https://127.0.0.1:1/x/compose.yaml", "over http ends in .git"),
    ):
        with pytest.raises(ComposeError, match=r"compose\.yaml:1:11: ") as raised:
            load(tmp_path / "p", f"include: ['{item}']\n")
        assert words in str(raised.value)
        assert not cache.exists() or list(cache.iterdir()) == []
    for path, words in (("zz.yml", "no such file or directory"), ("sub", "not found: there is no compose.yaml"),
                        ("out.yml", "points out of the repository")):
        with pytest.raises(ComposeError) as raised:
            load(tmp_path / "p", f"include: ['{served}#main:{path}']\n")
        assert words in str(raised.value)


def test_switches_and_a_machine_without_git(served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "false")
    with pytest.raises(ComposeError, match='git remote resource is disabled by "COMPOSE_EXPERIMENTAL_GIT_REMOTE"'):
        load(tmp_path, "", served)
    monkeypatch.setenv("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "zz")
    with pytest.raises(ComposeError, match="expects boolean value"):
        load(tmp_path, "", served)
    monkeypatch.delenv("COMPOSE_EXPERIMENTAL_GIT_REMOTE")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ComposeError, match=r"git: executable file not found in \$PATH"):
        load(tmp_path, "", served)


def test_what_is_a_git_reference() -> None:
    found = git_reference("git@example.org:o/r.git#b:p/q")
    assert found is not None
    assert (found.remote, found.ref, found.path) == ("git@example.org:o/r.git", "b", "p/q")
    short = git_reference("github.com/o/r#b")
    assert short is not None
    assert short.remote == "https://github.com/o/r"
    for text in ("compose.yaml", "./git@x:y", "https://x/y.yaml", "C:\\x", "/a:b", "-oProxyCommand=x"):
        assert git_reference(text) is None


@pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed")
def test_artifact_from_a_registry(tmp_path: Path, cache: Path) -> None:
    from tests.support.images import docker_registry

    from solva.cli.commands.compose.publish import _upload

    source = tmp_path / "source"
    source.mkdir()
    (source / "o.yml").write_text("services: {base: {image: q, labels: {l: m}}}\n")
    (source / "e.env").write_text("A=1\n")
    (source / "compose.override.yaml").write_text("services: {a: {hostname: h}}\n")
    project = load(source, "services:\n  a: {image: i, env_file: e.env}\n"
                           "  b: {image: i, extends: {file: o.yml, service: base}}\n")
    layers = artifact.layers(project, with_env=True)
    bad = [artifact.Layer(artifact.FILE, b"services: {}", file="../../x", extends="true")]
    with docker_registry(tmp_path / "registry") as port:
        for tag, content in (("1", layers), ("bad", layers + bad)):
            asyncio.run(_upload(f"127.0.0.1:{port}", "team/app", tag, content, "1.1", frozenset(), ""))
        found = load(tmp_path / "p", f"include: ['oci://127.0.0.1:{port}/team/app:1']\n").services
        assert (found["a"].get("hostname"), found["a"].get("environment")) == ("h", {"A": "1"})
        assert found["b"].get("labels") == {"l": "m"}
        assert os.path.isfile(only(cache) / "compose.yaml")
        with pytest.raises(ComposeError, match="invalid file name"):
            load(tmp_path / "p", "", f"oci://127.0.0.1:{port}/team/app:bad")
        with pytest.raises(ComposeError, match=r'failed to pull OCI resource ".*none:latest"'):
            load(tmp_path / "p", "", f"oci://127.0.0.1:{port}/team/none")
        assert len(list(cache.iterdir())) == 1
