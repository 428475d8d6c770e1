"""^C in the middle: of `up`, of a build. What it leaves is what Docker leaves, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.engine import LiveEngine, live_engine, missing

pytestmark = pytest.mark.root
FILE = """\
services:
  a:
    image: busybox
    command: ["sleep", "1000"]
    healthcheck: {test: "exit 1", interval: 1s, start_period: 300s}
  b:
    image: busybox
    command: ["sleep", "1000"]
    depends_on: {a: {condition: service_healthy}}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with live_engine(tmp_path_factory.mktemp("interrupted"), f"solva-i-{os.getpid()}") as live:
        yield live


def interrupted(engine: LiveEngine, cwd: Path, mark: str, *arguments: str) -> tuple[int, str]:
    """Run `solva ARGUMENTS`, ^C as soon as it has written ``mark``; its status and all it wrote."""
    process = subprocess.Popen(
        [sys.executable, "-m", "solva.cli", *arguments], cwd=cwd, text=True, start_new_session=True,
        env={**os.environ, "SOLVA_HOST": f"unix://{engine.socket}", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if mark in line:
            break
    assert mark in text, text
    os.killpg(process.pid, signal.SIGINT)
    text += process.stdout.read()
    return process.wait(60), text


def states(engine: LiveEngine) -> dict[str, str]:
    return {row["Names"][0]: row["State"] for row in engine.api.json("GET", "/containers/json", query={"all": True})}


def test_up_interrupted(engine: LiveEngine, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(FILE)
    compose = ("compose", "-p", "cut")
    status, text = interrupted(engine, tmp_path, "a-1  Waiting", *compose, "up", "-d")
    assert status == 130
    assert "Traceback" not in text
    assert states(engine) == {"/cut-a-1": "running", "/cut-b-1": "created"}   # detached: as far as it got
    status, text = interrupted(engine, tmp_path, "a-1  Waiting", *compose, "up")
    assert status == 130
    assert "Gracefully Stopping" in text
    assert "Traceback" not in text
    assert states(engine) == {"/cut-a-1": "exited", "/cut-b-1": "created"}    # attached: what had started is stopped
    engine.cli(*compose, "-f", str(tmp_path / "compose.yaml"), "down")
    assert states(engine) == {}
    assert [row["Name"] for row in engine.api.json("GET", "/networks") if row["Name"].startswith("cut")] == []


def test_build_interrupted(engine: LiveEngine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo begun && sleep 1000\n")
    before = mounts(engine)
    status, text = interrupted(engine, tmp_path, "begun", "build", "-t", "cut", ".")
    assert status == 130, text
    assert "Traceback" not in text
    # the engine ends the step when its client has gone: the answer to anything asked after that tells it is over
    assert engine.cli("run", "--rm", "busybox", "sh", "-c", "echo on").stdout == "on\n"
    wait_until(lambda: not sleepers(engine))
    # what an earlier test's containers had may go meanwhile
    wait_until(lambda: set(mounts(engine)) <= set(before))
    assert states(engine) == {}
    assert engine.cli("images", "-q", "cut").stdout == ""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo begun\n")
    assert engine.cli("build", "-q", "-t", "cut", str(tmp_path)).stdout.startswith("sha256:")


def mounts(engine: LiveEngine) -> list[str]:
    rows = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted(row.split()[4] for row in rows if str(engine.root) in row)


def sleepers(engine: LiveEngine) -> list[str]:
    """Processes in the engine's containers and build steps."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_bytes() == b"sleep\x001000\x00" and str(engine.root) in (
                    place / "mountinfo").read_text().splitlines()[0]:
                found.append(place.name)
        except OSError:
            continue
    return found


def wait_until(so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
