"""Log drivers on a live engine: files kept and turned over, logs read across them, lines passed on."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.types import LogConfig

from support.engine import LiveEngine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def client(engine: LiveEngine) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=60)) as made:
        yield made


@contextmanager
def container(client: docker.DockerClient, script: str, driver: str, config: dict[str, str],
              **options: Any) -> Iterator[Any]:
    made = client.containers.create("busybox", ["sh", "-c", script], log_config=LogConfig(type=driver, config=config),
                                    **options)
    try:
        made.start()
        yield made
    finally:
        made.remove(force=True)


def eventually(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def files(engine: LiveEngine, made: Any) -> list[Path]:
    return sorted((engine.root / "data" / "containers" / made.id).glob("container.log*"))


def test_several_files_are_kept_and_read_as_one(client: docker.DockerClient, engine: LiveEngine) -> None:
    script = "for i in $(seq 1 40); do seq $((i*500-499)) $((i*500)); usleep 60000; done"
    with container(client, script, "json-file", {"max-size": "50k", "max-file": "3", "compress": "true"}) as made:
        followed = [int(line) for line in made.logs(stream=True, follow=True)]
        assert followed == list(range(1, 20001)), "following must lose nothing while files are turned over"
        names = [path.name for path in files(engine, made)]
        assert names == ["container.log", "container.log.1", "container.log.2.gz"], names
        shown = [int(line) for line in made.logs().split()]
        assert shown == list(range(shown[0], 20001))
        assert 1500 < len(shown) < 15000
        # a tail that begins in an older file
        count = len(shown) - 10
        assert [int(line) for line in made.logs(tail=count).split()] == shown[10:]


def test_one_file_begins_anew(client: docker.DockerClient, engine: LiveEngine) -> None:
    with container(client, "seq 1 20000", "json-file", {"max-size": "100k"}) as made:
        assert made.wait()["StatusCode"] == 0
        assert [path.name for path in files(engine, made)] == ["container.log"]
        shown = [int(line) for line in made.logs().split()]
        assert shown == list(range(shown[0], 20001))
        assert 0 < len(shown) < 5000


def test_details_and_drivers_without_logs(client: docker.DockerClient) -> None:
    config = {"labels": "team", "env": "MODE", "tag": "{{.Name}}"}
    with container(client, "echo x", "json-file", config, name="log-details", labels={"team": "a b"},
                   environment={"MODE": "fast"}) as made:
        made.wait()
        text = client.api._result(client.api._get(  # docker-py has no argument for it
            client.api._url("/containers/{0}/logs", made.id), params={"stdout": 1, "details": 1}), binary=True)
        assert text[8:] == b"MODE=fast,tag=log-details,team=a+b x\n"
    with container(client, "echo x", "none", {}) as made:
        made.wait()
        with pytest.raises(docker.errors.APIError) as caught:
            made.logs()
        assert caught.value.response.status_code == 501
        assert caught.value.explanation == "configured logging driver does not support reading"
    if not os.path.exists("/run/systemd/journal/socket"):
        with pytest.raises(docker.errors.APIError, match="journald is not enabled on this host"), \
                container(client, "true", "journald", {}):
            pass


def test_syslog_gets_every_line_and_logs_still_work(client: docker.DockerClient, engine: LiveEngine,
                                                    tmp_path: Path) -> None:
    place = str(tmp_path / "syslog.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(place)
        server.settimeout(60)
        config = {"syslog-address": f"unixgram://{place}", "tag": "{{.Name}}", "syslog-format": "rfc5424"}
        with container(client, "seq 1 50; echo problem >&2; sleep 600", "syslog", config, name="log-syslog") as made:
            messages = [server.recv(4096) for _ in range(51)]
            assert [row.rpartition(b" - ")[2] for row in messages if row.startswith(b"<30>1 ")] == [
                b"%d\n" % number for number in range(1, 51)]
            assert next(row for row in messages if row.startswith(b"<27>1 ")).endswith(b" - problem\n")
            assert b" log-syslog " in messages[0]
            assert len(made.logs().split()) == 51
    missing = {"syslog-address": "tcp://127.0.0.1:9"}
    with pytest.raises(docker.errors.APIError, match="failed to initialize logging driver"), \
            container(client, "true", "syslog", missing, name="log-nobody"):
        pass
    assert not client.containers.list(all=True, filters={"name": "log-nobody"})


def test_sending_goes_on_after_the_engine_was_away(own_engine: LiveEngine, tmp_path: Path) -> None:
    place = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server, \
            closing(docker.DockerClient(base_url=f"unix://{own_engine.socket}", timeout=60)) as client:
        server.bind(place)
        server.settimeout(60)
        with container(client, "i=0; while sleep 0.05; do i=$((i+1)); echo $i; done", "syslog",
                       {"syslog-address": f"unixgram://{place}"}, name="log-away"):
            first = [int(server.recv(4096).split()[-1]) for _ in range(5)]
            own_engine.kill()
            time.sleep(0.3)
            own_engine.start()
            rest = [int(server.recv(4096).split()[-1]) for _ in range(20)]
            seen = sorted(set(first + rest))
            assert seen == list(range(1, len(seen) + 1)), "no line is left out"
