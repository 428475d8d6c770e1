"""The machine is restarted: what lay in memory is gone, the data root is kept."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support.engine import LiveEngine, run
from support.invariants import monitors, rows, settled, until

pytestmark = pytest.mark.root
Json = dict[str, Any]


def reboot(engine: LiveEngine) -> None:
    """All that a power cut takes: processes, mounts, links, rules, /run."""
    engine.kill()
    known = rows(engine, "container")
    for pid in [row["state"]["conmon_pid"] for row in known] + [row["state"]["pid"] for row in known]:
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    until(lambda: not monitors(engine))
    for name in ("dns/dns.pid",):
        try:
            os.kill(int((engine.root / "run" / name).read_text().split()[0]), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass
    for line in Path("/proc/self/mountinfo").read_text().splitlines()[::-1]:
        point = line.split()[4]
        if point.startswith(f"{engine.root}/"):
            run("umount", "-l", point, check=False)
    run("ip", "netns", "del", engine.name)
    for base in Path("/sys/fs/cgroup").glob("*/solva"):
        for row in known:
            run("rmdir", str(base / row["id"]), check=False)
    shutil.rmtree(engine.root / "run")
    (engine.root / "run").mkdir()
    engine.make_netns()


def make(engine: LiveEngine, name: str, policy: str, *, network: str = "bridge", labels: Json | None = None,
         command: list[str] | None = None, **host: Any) -> None:
    body = {"Image": "busybox", "Cmd": command or ["sleep", "1000"], "Labels": labels or {},
            "HostConfig": {"NetworkMode": network, "RestartPolicy": {"Name": policy}, **host}}
    if labels and labels.get("health"):
        body["Healthcheck"] = {"Test": ["CMD-SHELL", "test -e /ready || { sleep 0.3; touch /ready; }"],
                               "Interval": 100_000_000}
    engine.api.json("POST", "/containers/create", body=body, query={"name": name})
    engine.api.json("POST", f"/containers/{name}/start")


def inspect(engine: LiveEngine, name: str) -> Json:
    found: Json = engine.api.json("GET", f"/containers/{name}/json")
    return found


def compose(service: str, needs: str = "") -> Json:
    return {"com.docker.compose.project": "shop", "com.docker.compose.service": service,
            "com.docker.compose.depends_on": needs}


def test_the_machine_is_restarted(own_engine: LiveEngine) -> None:
    engine = own_engine
    engine.api.json("POST", "/networks/create", body={
        "Name": "app", "IPAM": {"Config": [{"Subnet": "10.98.1.0/24"}]}})
    # made in an order that is neither the one they depend on one another nor that of their ids
    make(engine, "db", "always", network="app", labels={**compose("db"), "health": "1"},
         Binds=["shopdata:/data"], command=["sh", "-c", "date >> /data/starts; sleep 1000"])
    make(engine, "web", "unless-stopped", network="app", labels=compose("web", "db:service_healthy:false"))
    make(engine, "front", "on-failure", network="app", labels=compose("front", "web:service_started:true"),
         PortBindings={"80/tcp": [{"HostPort": "39190"}]})
    make(engine, "beside", "always", network="container:web")
    make(engine, "plain", "no", network="app")
    make(engine, "halted", "unless-stopped", network="app")
    make(engine, "always", "always", network="app")
    engine.api.json("POST", "/containers/halted/stop", query={"t": 0})
    engine.api.json("POST", "/containers/always/stop", query={"t": 0})
    until(lambda: inspect(engine, "db")["State"]["Health"]["Status"] == "healthy")
    names = ("db", "web", "front")
    before = {name: inspect(engine, name)["NetworkSettings"]["Networks"]["app"]["IPAddress"] for name in names}
    starts = engine.root / "data/volumes/shopdata/_data/starts"
    assert len(starts.read_text().splitlines()) == 1
    (starts.parent / "kept").write_text("kept")

    for turn in (2, 3):
        reboot(engine)
        engine.start()
        until(lambda: all(inspect(engine, name)["State"]["Running"] for name in (*names, "beside", "always")))
        assert {name: inspect(engine, name)["NetworkSettings"]["Networks"]["app"]["IPAddress"]
                for name in names} == before
        begun = {name: inspect(engine, name)["State"]["StartedAt"] for name in (*names, "beside")}
        assert begun["db"] < begun["web"] < begun["front"], begun
        assert begun["web"] < begun["beside"], begun
        first = inspect(engine, "db")["State"]["Health"]["Log"][0]["End"]
        assert first < begun["web"], "the one that waits for health was started before it was healthy"
        for name in ("halted", "plain"):
            assert not inspect(engine, name)["State"]["Running"], name
        until(lambda turn=turn: len(starts.read_text().splitlines()) == turn)  # type: ignore[misc]
        assert (starts.parent / "kept").read_text() == "kept"
        until(lambda: engine.cli("exec", "front", "nslookup", "db", check=False).returncode == 0)
        assert inspect(engine, "front")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == "39190"
        settled(engine)
        engine.api.json("POST", "/containers/always/stop", query={"t": 0})


def test_policies_back_off_and_give_up(own_engine: LiveEngine) -> None:
    """A container that ends at once is started again at growing distances; one with a number of tries ends."""
    engine = own_engine
    began = time.time()
    make(engine, "flaps", "always", command=["false"])
    make(engine, "tries", "on-failure", command=["false"])
    engine.api.json("POST", "/containers/create", query={"name": "twice"}, body={
        "Image": "busybox", "Cmd": ["sh", "-c", "exit 3"],
        "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}})
    engine.api.json("POST", "/containers/twice/start")
    until(lambda: inspect(engine, "twice")["State"]["Status"] == "exited")
    found = inspect(engine, "twice")
    assert found["RestartCount"] == 2
    assert found["State"]["ExitCode"] == 3
    until(lambda: inspect(engine, "flaps")["RestartCount"] >= 4)
    with engine.api.request("GET", "/events", query={
            "since": str(int(began)), "until": f"{time.time():.9f}",
            "filters": json.dumps({"container": ["flaps"], "event": ["die"]})}) as answer:
        times = [row["timeNano"] for row in answer.lines()]
    gaps = [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(times)]
    assert len(gaps) >= 3
    for turn, gap in enumerate(gaps):      # 0.1 s, 0.2 s, 0.4 s ... at least: the engine is not kept busy
        assert gap >= 0.1 * 2 ** turn * 0.95, gaps
    engine.api.json("POST", "/containers/flaps/stop", query={"t": 0})
    for name in ("flaps", "tries", "twice"):
        engine.api.json("DELETE", f"/containers/{name}", query={"force": True})
    settled(engine)

