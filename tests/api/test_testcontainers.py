"""testcontainers-python on Solva: Redis (Debian's package as an image) used by a real client, and removed by the reaper
after its test process was killed. The reaper's image is a stand-in with ryuk's protocol (reaper.sh), since ryuk's own
image cannot be had without the internet."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.engine import LiveEngine, docker_archive
from support.packaged import layer

pytestmark = pytest.mark.root
PACKAGES = Path(__file__).resolve().parents[2] / ".venv" / "share" / "redis"
USE = """
import os, sys
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.redis import RedisContainer

with RedisContainer("redis:7") as first:
    client = first.get_client(decode_responses=True)
    assert client.ping()
    client.set("answer", "42")
    assert client.get("answer") == "42"
    assert client.info()["redis_version"].startswith("7.")
    code, output = first.exec(["redis-cli", "get", "answer"])
    assert (code, output.strip()) == (0, b"42"), (code, output)
    first_id = first.get_wrapped_container().id
network = Network().create()
second = RedisContainer("redis:7").with_network(network).with_network_aliases("store").start()
other = DockerContainer("redis:7").with_network(network).with_command("redis-cli -h store ping").start()
assert other.get_wrapped_container().wait()["StatusCode"] == 0
assert other.get_logs()[0] == b"PONG\\n"
print(first_id, second.get_wrapped_container().id, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def images(engine: LiveEngine) -> LiveEngine:
    if not (PACKAGES / "usr/bin/redis-check-rdb").exists():
        pytest.skip("Debian's Redis is not here (tools/setup.sh tests fetches it)")
    pytest.importorskip("testcontainers")
    redis = layer(PACKAGES, ["/usr/bin/redis-check-rdb", "/usr/bin/redis-cli"],
                  {"/usr/bin/redis-server": "#!/bin/sh\nexec -a redis-server /usr/bin/redis-check-rdb \"$@\"\n"})
    reaper = layer(PACKAGES, ["/usr/bin/socat"], {"/bin/reaper": Path(__file__).with_name("reaper.sh").read_text()})
    for tag, data, config in (
            ("redis:7", redis, {"Cmd": ["redis-server", "--protected-mode", "no"], "Env": ["PATH=/usr/bin:/bin"],
                                "ExposedPorts": {"6379/tcp": {}}}),
            ("testcontainers/ryuk:0.8.1", reaper, {"Cmd": ["/bin/reaper"], "Env": ["PATH=/usr/bin:/bin"]})):
        with engine.api.request("POST", "/images/load", body=docker_archive(tag, data, config),
                                headers={"Content-Type": "application/x-tar"}) as answer:
            assert any("Loaded image" in row.get("stream", "") for row in answer.lines())
    return engine


def names(engine: LiveEngine) -> set[str]:
    """Containers and networks of testcontainers, by id."""
    rows = [*engine.api.json("GET", "/containers/json", query={"all": True}), *engine.api.json("GET", "/networks")]
    return {row["Id"] for row in rows if any("testcontainers" in key for key in row.get("Labels") or {})
            or "testcontainers" in str(row.get("Names"))}


def test_redis_is_started_used_and_reaped(images: LiveEngine, tmp_path: Path) -> None:
    environment = {
        **os.environ, "DOCKER_HOST": f"unix://{images.socket}", "HOME": str(tmp_path),
        "RYUK_RECONNECTION_TIMEOUT": "1s",
        "TC_POOLING_INTERVAL": "0.2", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
    }
    process = subprocess.Popen(
        ["nsenter", f"--net={images.netns}", "--", sys.executable, "-W", "ignore", "-c", USE], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline().split()
    if len(line) != 2:
        process.kill()
        pytest.fail(process.stderr.read()[-3000:])
    stopped, running = line
    present = names(images)
    assert stopped not in present, "`with` has removed its container"
    assert running in present
    process.kill()      # no clean-up of its own
    process.communicate()
    deadline = time.monotonic() + 60
    while names(images):
        assert time.monotonic() < deadline, f"not reaped: {names(images)}"
        time.sleep(0.1)
