"""Builds from elsewhere: Git repositories and web servers, as contexts and as sources of ADD. The servers are git's own
daemon and Python's, in the engine's network namespace."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from solva.errors import SolvaError
from support.engine import LiveEngine, run

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
WHO = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
       "GIT_CONFIG_GLOBAL": "/dev/null"}


def git(folder: Path, *words: str) -> str:
    return run("git", "-C", str(folder), *words, env={**os.environ, **WHO}).stdout.strip()


class Repository:
    """``url``; ``first`` and ``second`` are its commits, tag ``v1`` is the first."""

    def __init__(self, base: Path, engine: LiveEngine) -> None:
        folder = base / "repo"
        (folder / "sub").mkdir(parents=True)
        git(folder, "init", "-q", "-b", "main")
        (folder / "Dockerfile").write_text("FROM busybox\nCOPY f /f\n")
        (folder / "sub" / "Dockerfile").write_text("FROM busybox\nRUN echo sub > /f\n")
        (folder / "f").write_text("one\n")
        self.first = self._commit(folder)
        git(folder, "tag", "v1")
        (folder / "f").write_text("two\n")
        self.second = self._commit(folder)
        git(folder, "branch", "other", "v1")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"git://127.0.0.1:{port}/repo"
        self._daemon = subprocess.Popen(
            ["nsenter", f"--net={engine.netns}", "--", "git", "daemon", "--reuseaddr", "--listen=127.0.0.1",
             f"--port={port}", f"--base-path={base}", "--export-all", str(base)],
            stderr=subprocess.DEVNULL, env={**os.environ, **WHO, "GIT_CONFIG_COUNT": "1",
                                            "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})
        deadline = time.monotonic() + 20
        while True:
            try:
                engine.inside(lambda: socket.create_connection(("127.0.0.1", port)).close())
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    @staticmethod
    def _commit(folder: Path) -> str:
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "c")
        return git(folder, "rev-parse", "HEAD")

    def close(self) -> None:
        subprocess.run(["pkill", "-P", str(self._daemon.pid)], check=False)
        self._daemon.terminate()
        self._daemon.wait()


@pytest.fixture(scope="module")
def repository(engine: LiveEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository(tmp_path_factory.mktemp("git"), engine)
    yield made
    made.close()


def build(engine: LiveEngine, folder: Path, dockerfile: str, tag: str, check: bool = True) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    done = engine.cli("build", "-t", tag, str(folder), check=check)
    return done.stdout + done.stderr


def shown(engine: LiveEngine, tag: str, *command: str) -> str:
    return engine.cli("run", "--rm", tag, *command).stdout


def remote_build(engine: LiveEngine, remote: str, tag: str, **query: str) -> list[dict[str, str]]:
    with engine.api.request("POST", "/build", query={"remote": remote, "t": tag, **query}) as answer:
        return list(answer.lines())


def test_add_of_a_repository(engine: LiveEngine, repository: Repository, tmp_path: Path) -> None:
    build(engine, tmp_path / "c", f"FROM busybox\nADD {repository.url} /head\nADD {repository.url}#v1 /tag\n"
          f"ADD {repository.url}#other:sub /sub/\nADD --keep-git-dir=true {repository.url} /kept\n"
          f"ADD --checksum={repository.first} {repository.url}#v1 /checked\n", "src:1")
    assert shown(engine, "src:1", "cat", "/head/f", "/tag/f", "/checked/f") == "two\none\none\n"
    assert shown(engine, "src:1", "ls", "/sub").split() == ["Dockerfile"]
    assert ".git" not in shown(engine, "src:1", "ls", "-A", "/head").split()
    assert ".git" in shown(engine, "src:1", "ls", "-A", "/kept").split()


@pytest.mark.parametrize(("source", "said"), [
    ("{url}#nosuch /x", "git"), ("--checksum={second} {url}#v1 /x", "expected checksum to match"),
    ("git://127.0.0.1:1/none /x", "git fetch failed"), ("{url}#-upload-pack=x /x", "invalid git reference"),
    ("{url}?nonsense=1 /x", "unexpected query"),
])
def test_repositories_that_cannot_be_had(engine: LiveEngine, repository: Repository, tmp_path: Path, source: str,
                                         said: str) -> None:
    line = source.format(url=repository.url, second=repository.second)
    text = build(engine, tmp_path / "c", f"FROM busybox\nADD {line}\n", "src:none", check=False)
    assert said in text
    assert "Traceback" not in text
    assert not list(engine.root.glob("data/build/tmp/*"))


def test_a_repository_as_the_context(engine: LiveEngine, repository: Repository) -> None:
    remote_build(engine, repository.url, "src:2")
    assert shown(engine, "src:2", "cat", "/f") == "two\n"
    remote_build(engine, f"{repository.url}#v1", "src:3")
    assert shown(engine, "src:3", "cat", "/f") == "one\n"
    remote_build(engine, f"{repository.url}#:sub", "src:4")
    assert shown(engine, "src:4", "cat", "/f") == "sub\n"


def test_a_context_from_the_web(engine: LiveEngine, tmp_path: Path) -> None:
    """An archive, and a lone Dockerfile."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo alone > /f\n")
    with tarfile.open(tmp_path / "context.tar.gz", "w:gz") as tar:
        (tmp_path / "inner").write_text("FROM busybox\nCOPY x /f\n")
        (tmp_path / "x").write_text("packed\n")
        tar.add(tmp_path / "inner", "Dockerfile")
        tar.add(tmp_path / "x", "x")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            return

    def handler(*words: object) -> Quiet:
        return Quiet(*words, directory=str(tmp_path))  # type: ignore[arg-type]

    server = engine.inside(lambda: http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))  # type: ignore[arg-type]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        remote_build(engine, f"{base}/context.tar.gz", "src:5")
        assert shown(engine, "src:5", "cat", "/f") == "packed\n"
        remote_build(engine, f"{base}/Dockerfile", "src:6")
        assert shown(engine, "src:6", "cat", "/f") == "alone\n"
        with pytest.raises(SolvaError, match="404"):
            remote_build(engine, f"{base}/missing.tar", "src:7")
    finally:
        server.shutdown()
        server.server_close()
