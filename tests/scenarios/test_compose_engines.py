"""Compose from `up` to `down` against each engine: Solva's, and a real Docker where one is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import peer
from support.engine import live_engine, missing

FILE = """
services:
  db:
    image: busybox
    command: sh -c 'trap "exit 0" TERM; echo ready; while true; do sleep 0.1; done'
    healthcheck: {test: "true", interval: 1s}
    volumes: [data:/data]
  job: {image: busybox, command: "true", depends_on: {db: {condition: service_healthy}}}
  web:
    image: busybox
    command: sh -c 'trap "exit 0" TERM; while true; do sleep 0.1; done'
    environment: {COLOUR: "${COLOUR:-blue}"}
    depends_on: {job: {condition: service_completed_successfully}}
    configs: [{source: greeting, target: /greeting}]
configs: {greeting: {content: "hello\\n"}}
volumes: {data: }
"""
Compose = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


@pytest.fixture(scope="module", params=["solva", pytest.param("docker", marks=pytest.mark.peer)])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "docker":
        yield peer.endpoint()
        return
    reason = missing()
    if reason:
        pytest.skip(f"no engine can run here: {reason}")
    with live_engine(tmp_path_factory.mktemp("compose"), f"solva-f-{os.getpid()}") as engine:
        yield engine.api.endpoint


@pytest.fixture
def compose(endpoint: str, tmp_path: Path) -> Iterator[Compose]:
    # A dockerd asks every volume plugin it knows, dead ones too, for a volume that is not there: 15 s each time.
    ours = endpoint.endswith("solva.sock")
    text = FILE if ours else FILE.replace("    volumes: [data:/data]\n", "")
    (tmp_path / "compose.yaml").write_text(text)
    project = f"ftest{os.getpid()}"

    def run(*arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        if not ours:
            arguments = tuple(item for item in arguments if item != "-v")
        done = subprocess.run(
            [sys.executable, "-m", "solva.cli", "-H", endpoint, "compose", "-p", project, *arguments],
            cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    yield run
    run("down", "-v", "-t", "0", check=False)


def rows(compose: Compose) -> dict[str, dict[str, object]]:
    return {row["Service"]: row for row in map(json.loads, compose("ps", "-a", "--format", "json").stdout.splitlines())}


def test_whole_life(compose: Compose) -> None:
    compose("up", "-d")
    found = rows(compose)
    assert {name: row["State"] for name, row in found.items()} == {"db": "running", "job": "exited", "web": "running"}
    assert found["db"]["Health"] == "healthy"
    assert compose("exec", "-T", "web", "cat", "/greeting").stdout == "hello\n"
    assert compose("exec", "-T", "web", "sh", "-c", "exit 7", check=False).returncode == 7
    assert "db-1  | ready" in compose("logs", "db").stdout
    before = {name: row["ID"] for name, row in found.items()}

    compose("up", "-d", "--no-recreate")
    assert {name: row["ID"] for name, row in rows(compose).items()} == before

    compose("up", "-d", COLOUR="red")
    after = {name: row["ID"] for name, row in rows(compose).items()}
    assert after["web"] != before["web"]
    assert after["db"] == before["db"]
    assert compose("exec", "-T", "web", "sh", "-c", "echo $COLOUR").stdout == "red\n"

    assert compose("run", "--rm", "-T", "--no-deps", "web", "echo", "once").stdout == "once\n"
    compose("stop", "-t", "1")
    assert {row["State"] for row in rows(compose).values()} == {"exited"}
    compose("exec", "-T", "db", "true", check=False)
    compose("start")
    assert rows(compose)["web"]["State"] == "running"
    compose("down", "-v", "-t", "1")
    assert rows(compose) == {}
