"""``kill -9`` of the engine between all steps of every operation: the next one finds a whole world, and running
containers notice nothing. Then the same for the processes beside it."""

from __future__ import annotations

import io
import os
import re
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from solva.errors import SolvaError
from support.engine import LiveEngine, live_engine, missing
from support.hub import hub
from support.invariants import monitors, rows, settled, until

pytestmark = pytest.mark.root
SOURCE = Path(__file__).resolve().parents[2] / "src" / "solva"
ELSEWHERE = ("join: ", "attach: ", "detach: ", "publish: ", "settle: ", "connect: names", "connect: settled",
             "disconnect: settled", "disconnect: left", "overlay", "remote")
"""Swept by test_network_life.py and the tests of the drivers."""
Json = dict[str, Any]
Act = Callable[[], object]


class Rig:
    """An engine that can be told where to die, a registry, and a container that must notice nothing."""

    def __init__(self, engine: LiveEngine, registry: str, fault: Path) -> None:
        self.engine, self.registry, self.fault = engine, registry, fault
        self.deaths = 0
        self.restarted: set[str] = set()
        self.post("/containers/create", {"Image": "busybox", "Cmd": [
            "sh", "-c", "mkdir /w; echo here > /w/index.html; httpd -f -p 80 -h /w"],
            "ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "39181"}]}}},
            name="witness")
        self.post("/containers/witness/start")
        until(self._serves, "the witness does not serve")
        self.witness = self._state()

    def _state(self) -> Json:
        found = self.inspect("witness")
        return {**{key: found["State"][key] for key in ("Pid", "StartedAt", "Running")},
                "address": found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]}

    def _serves(self) -> bool:
        try:
            return self.engine.get("http://127.0.0.1:39181/") == b"here\n"
        except OSError:
            return False

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self.engine.api.json("POST", path, body=body, query=query or None)

    def delete(self, path: str, **query: Any) -> Any:
        return self.engine.api.json("DELETE", path, query=query or None)

    def inspect(self, name: str) -> Json:
        found: Json = self.engine.api.json("GET", f"/containers/{name}/json")
        return found

    def stream(self, method: str, path: str, body: bytes = b"", **query: Any) -> None:
        with self.engine.api.request(method, path, body=body, query=query,
                                     headers={"Content-Type": "application/x-tar"}) as answer:
            for row in answer.lines():
                if "error" in row:
                    raise SolvaError(row["error"])

    def dies(self, point: str, act: Act) -> None:
        """``act`` kills the engine at ``point``; the next engine is up and everything agrees."""
        self.fault.write_text(point)
        try:
            act()
        except (SolvaError, OSError, ValueError):
            pass
        process = self.engine.process
        assert process is not None
        try:
            assert process.wait(30) == -9, f"{point}: the engine ended otherwise"
        except Exception as error:
            raise AssertionError(f"{point}: the engine did not come by") from error
        self.fault.write_text("")
        self.engine.start()
        self.deaths += 1
        settled(self.engine)
        assert self._state() == self.witness, f"{point}: the witness was disturbed"
        assert self._serves(), f"{point}: the witness does not serve"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    root = tmp_path_factory.mktemp("crash")
    fault = root / "fault"
    fault.write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOLVA_FAULT", f"@{fault}")
        with live_engine(root / "engine", f"solva-crash-{os.getpid()}", outside=True) as engine, \
                hub(root / "hub", engine.host_address) as address:
            engine.stop()
            engine.configure(f'[registry]\ninsecure = ["{address}"]\n')
            engine.start()
            rig = Rig(engine, address, fault)
            rig.stream("POST", "/build", volumes_image(), t="withvolume")
            yield rig


def volumes_image() -> bytes:
    """A Dockerfile whose image has a volume with content, and a layer that no other build has made."""
    buffer = io.BytesIO()
    text = (f"FROM busybox\nRUN mkdir /data && echo kept > /data/file && echo {os.urandom(8).hex()} > /mark\n"
            'VOLUME /data\nCMD ["sleep", "1000"]\n').encode()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


CREATE = ["create: begun", "snapshot: made", "create: snapshot", "volume create: made", "volume create: recorded",
          "create: volumes", "volume fill: noted", "create: files", "create: recorded"]
START = ["start: bundle", "start: network", "start: mounted", "start: created", "start: recorded", "start: runs"]
STOP = ["stop: noted", "stop: signalled", "end: seen", "end: released", "end: noted"]
REMOVE = ["remove: marked", "snapshot remove: forgotten", "remove: snapshot", "remove: files", "remove: forgotten",
          "volume remove: noted", "volume remove: gone"]
PULL = ["pull: begun", "layer: placed", "pull: layers", "image: configuration", "image: chain", "pull: whole"]
IMAGE_REMOVE = ["image remove: forgotten", "layer: forgotten"]
BUILD = ["build: step", "build: made", "commit: layer"]
NETWORK = ["network create: made", "network remove: gone"]
LIVE = ["connect: done", "disconnect: done"]
SWEPT = {*CREATE, *START, *STOP, *REMOVE, *PULL, *IMAGE_REMOVE, *BUILD, *NETWORK, *LIVE}


def test_every_point_there_is_is_swept() -> None:
    there = {name for path in SOURCE.rglob("*.py") for name in re.findall(r'faults\.point\("([^"]+)"\)',
                                                                          path.read_text())}
    assert {name for name in there - SWEPT if not name.startswith(ELSEWHERE)} == set()
    assert there >= SWEPT


def test_build_and_images(rig: Rig) -> None:
    for point in BUILD:
        rig.dies(point, lambda: rig.stream("POST", "/build", volumes_image(), t="withvolume", nocache=1))
    name = f"{rig.registry}/library/alpine"
    for point in PULL:
        rig.dies(point, lambda: rig.stream("POST", "/images/create", fromImage=name, tag="3.10"))
        for row in rig.engine.api.json("GET", "/images/json"):      # whatever is there can be used
            rig.engine.api.json("GET", f"/images/{row['Id']}/json")
        for row in rig.engine.api.json("GET", "/images/json", query={"filters": '{"dangling":["true"]}'}):
            rig.delete(f"/images/{row['Id']}")
    rig.stream("POST", "/images/create", fromImage=name, tag="3.10")
    for point in IMAGE_REMOVE:
        rig.dies(point, lambda: rig.delete(f"/images/{name}:3.10"))
        rig.stream("POST", "/images/create", fromImage=name, tag="3.10")
    rig.delete(f"/images/{name}:3.10")
    settled(rig.engine)


def containers(rig: Rig) -> list[str]:
    return [row["Names"][0] for row in rig.engine.api.json("GET", "/containers/json", query={"all": True})]


def volumes(rig: Rig) -> list[str]:
    return [row["Name"] for row in rig.engine.api.json("GET", "/volumes")["Volumes"] or []]


BODY = {"Image": "withvolume", "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "39182"}]}}}


def test_create_start_stop_remove(rig: Rig) -> None:
    for point in CREATE:
        rig.dies(point, lambda: rig.post("/containers/create", BODY, name="box"))
        if point == CREATE[-1]:
            assert containers(rig) == ["/witness", "/box"] or containers(rig) == ["/box", "/witness"]
        else:
            assert containers(rig) == ["/witness"]
            assert volumes(rig) == [], f"{point}: a volume of nobody"
    for point in START:
        if rig.inspect("box")["State"]["Running"]:
            rig.post("/containers/box/stop", t=0)
        rig.dies(point, lambda: rig.post("/containers/box/start"))
        assert rig.inspect("box")["State"]["Running"] == (point in ("start: recorded", "start: runs")), point
    for point in STOP:
        if not rig.inspect("box")["State"]["Running"]:
            rig.post("/containers/box/start")      # the name, its address and its port are free
        rig.dies(point, lambda: rig.post("/containers/box/stop", t=0))
        if point.startswith("stop: "):      # process 1 has ignored the first signal: nothing has happened to it
            assert rig.inspect("box")["State"]["Running"]
        else:
            until(lambda: not rig.inspect("box")["State"]["Running"])
            assert rig.inspect("box")["State"]["ExitCode"] == 137
    for point in REMOVE:
        if "/box" not in containers(rig):
            rig.post("/containers/create", BODY, name="box")
            rig.post("/containers/box/start")
            with_file = rig.inspect("box")["Mounts"][0]["Source"]
            assert (Path(with_file) / "file").read_text() == "kept\n"
        rig.dies(point, lambda: rig.delete("/containers/box", force=1, v=1))
        until(lambda: containers(rig) == ["/witness"], f"{point}: a removal that has begun is finished")
        until(lambda: volumes(rig) == [], f"{point}: its volume stays")
    settled(rig.engine)


def test_an_exit_code_is_not_lost_with_the_engine(rig: Rig) -> None:
    for point in ("end: seen", "end: released"):
        rig.post("/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", "exit 42"]}, name="box")
        rig.dies(point, lambda: rig.post("/containers/box/start"))
        until(lambda: rig.inspect("box")["State"]["Status"] == "exited")
        assert rig.inspect("box")["State"]["ExitCode"] == 42, point
        rig.delete("/containers/box")


def test_volumes_and_networks(rig: Rig) -> None:
    for point in ("volume create: made", "volume create: recorded"):
        rig.dies(point, lambda: rig.post("/volumes/create", {"Name": "kept"}))
        rig.post("/volumes/create", {"Name": "kept"})
        rig.delete("/volumes/kept")
    for point in ("volume remove: noted", "volume remove: gone"):
        rig.post("/volumes/create", {"Name": "kept"})
        (rig.engine.root / "data/volumes/kept/_data/old").write_text("old")
        rig.dies(point, lambda: rig.delete("/volumes/kept"))
        assert volumes(rig) == []
        rig.post("/volumes/create", {"Name": "kept"})
        assert not (rig.engine.root / "data/volumes/kept/_data/old").exists(), "a new volume has a removed one's files"
        rig.delete("/volumes/kept")
    subnet = {"Name": "crash", "IPAM": {"Config": [{"Subnet": "10.99.1.0/24"}]}}
    rig.dies("network create: made", lambda: rig.post("/networks/create", subnet))
    rig.post("/networks/create", subnet)      # neither its name nor its subnet is lost
    rig.dies("network remove: gone", lambda: rig.delete("/networks/crash"))
    rig.post("/containers/create", {"Image": "busybox", "Cmd": ["sleep", "1000"]}, name="box")
    rig.post("/containers/box/start")
    if not any(row["Name"] == "crash" for row in rig.engine.api.json("GET", "/networks")):
        rig.post("/networks/create", subnet)      # gone or there as a whole
    for point in LIVE:
        verb = point.partition(":")[0]
        rig.dies(point, lambda verb=verb: rig.post(f"/networks/crash/{verb}", {"Container": "box"}))  # type: ignore[misc]
        assert ("crash" in rig.inspect("box")["NetworkSettings"]["Networks"]) == (verb == "connect")
    rig.delete("/containers/box", force=1)
    rig.delete("/networks/crash")
    settled(rig.engine)


def test_the_processes_beside_the_engine(rig: Rig) -> None:
    """conmon, the first process and the name server killed, under a live engine and while none is there."""
    for down in (False, True):
        for victim in ("conmon", "program", "both"):
            rig.post("/containers/create", {"Image": "busybox", "Cmd": ["sleep", "1000"]}, name="box")
            rig.post("/containers/box/start")
            found = rig.inspect("box")
            stored = next(row for row in rows(rig.engine, "container") if row["id"] == found["Id"])
            if down:
                rig.engine.kill()
            if victim != "program":
                os.kill(stored["state"]["conmon_pid"], signal.SIGKILL)
            if victim != "conmon":
                os.kill(stored["state"]["pid"], signal.SIGKILL)
            if down:
                rig.engine.start()
            until(lambda: rig.inspect("box")["State"]["Status"] == "exited", f"{victim} died, engine down: {down}")
            assert rig.inspect("box")["State"]["ExitCode"] == 137
            settled(rig.engine)
            assert found["Id"] not in monitors(rig.engine)
            rig.delete("/containers/box")
    names = rig.engine.root / "run/dns/dns.pid"
    if names.exists():
        pid = int(names.read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        rig.post("/networks/create", {"Name": "named"})
        for name in ("one", "two"):
            rig.post("/containers/create", {"Image": "busybox", "Cmd": ["sleep", "1000"],
                                            "HostConfig": {"NetworkMode": "named"}}, name=name)
            rig.post(f"/containers/{name}/start")
        until(lambda: rig.engine.cli("exec", "one", "nslookup", "two", check=False).returncode == 0)
        os.kill(int(names.read_text().split()[0]), signal.SIGKILL)
        until(lambda: rig.engine.cli("exec", "one", "nslookup", "two", check=False).returncode == 0)
        for name in ("one", "two"):
            rig.delete(f"/containers/{name}", force=1)
        rig.delete("/networks/named")
    settled(rig.engine)
    print(f"deaths of the engine: {rig.deaths}")
