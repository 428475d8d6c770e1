"""What must hold of an engine whenever nothing is under way: store, kernel, files and runtime say the same."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from solva.errors import NotFound
from support.engine import LiveEngine

Json = dict[str, Any]
TRANSIENT = ("container-begun", "volume-doomed", "volume-removing", "volume-filling", "sandbox-change")


def until(condition: Callable[[], Any], what: str = "it did not come true", limit: float = 30) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def settled(engine: LiveEngine, limit: float = 30) -> None:
    """Wait until nothing differs; fails with what does."""
    deadline = time.monotonic() + limit
    while problems := differences(engine):
        assert time.monotonic() < deadline, "\n".join(problems) + "\n" + engine.log.read_text()[-3000:]
        time.sleep(0.05)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def rows(engine: LiveEngine, kind: str) -> list[Any]:
    with sqlite3.connect(f"file:{engine.root}/data/state.db?mode=ro", uri=True) as db:
        return [json.loads(value) for (value,) in db.execute("SELECT value FROM item WHERE kind=?", (kind,))]


def monitors(engine: LiveEngine) -> list[str]:
    """Ids that a conmon of this engine is for."""
    found = []
    mark = f"{engine.root}/run/containers/".encode()
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"conmon") and any(mark in word for word in words):
                found.append(words[2].decode())
    return found


def differences(engine: LiveEngine) -> list[str]:
    """One line a contradiction."""
    problems: list[str] = []

    def same(what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            problems.append(f"{what}: {found} and not {wanted}")

    data, run = engine.root / "data", engine.root / "run"
    shown = engine.api.json("GET", "/containers/json", query={"all": True})
    try:
        full = [engine.api.json("GET", f"/containers/{row['Id']}/json") for row in shown]
    except NotFound as error:       # a removal that the engine has taken up again ended in between
        return [f"shown, then gone: {error}"]
    ids = {row["Id"] for row in full}
    alive = {row["Id"] for row in full if row["State"]["Running"] and row["State"]["Pid"]}
    stored = rows(engine, "container")
    same("stored containers", {row["id"] for row in stored}, ids)
    for row in stored:
        same(f"stored state of {row['name']}", row["state"]["status"],
             next((each["State"]["Status"] for each in full if each["Id"] == row["id"]), None))
    for kind in TRANSIENT:
        same(f"rows of {kind}", rows(engine, kind), [])
    same("directories of containers", names(data / "containers"), ids)
    same("stored snapshots", {row["key"] for row in rows(engine, "snapshot")}, ids)
    same("snapshots", names(data / "snapshots" / "active"), ids)
    same("unfinished layers", names(data / "snapshots" / "tmp"), set())
    layers = {str(row["number"]) for row in rows(engine, "diff")}
    same("layers", names(data / "snapshots" / "layers"), layers)
    same("bundles", names(run / "containers"), alive)
    same("bundles of build steps", names(run / "build"), set())
    same("crun's states", names(run / "crun"), alive)
    same("monitors", sorted(monitors(engine)), sorted(alive))
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    same("root file systems", sorted(point.split("/")[-2] for point in mounted
                                     if point.startswith(f"{data}/snapshots/active/")), sorted(alive))
    same("half-made init layers", [name for name in names(data / "snapshots" / "init") if name.startswith(".")], [])
    private = {row["Id"] for row in full if row["Id"] in alive
               and not row["HostConfig"]["NetworkMode"].startswith(("container:", "host"))}
    joined = {row["HostConfig"]["NetworkMode"].partition(":")[2] for row in full if row["Id"] in alive}
    same("namespaces", names(run / "netns"), private | joined & ids)
    same("name files", names(run / "sandboxes") - {"host"}, private | joined & ids)
    for group in cgroups(ids):
        if group.name not in alive:
            problems.append(f"group {group} is left")
    volumes = {row["Name"] for row in engine.api.json("GET", "/volumes")["Volumes"] or []}
    same("stored volumes", {row["name"] for row in rows(engine, "volume")}, volumes)
    same("directories of volumes", names(data / "volumes"), volumes)
    problems += network_differences(engine, full, alive)
    return problems


def cgroups(ids: set[str]) -> list[Path]:
    base = Path("/sys/fs/cgroup")
    places = [base / "solva", *(path / "solva" for path in base.iterdir() if path.is_dir())]
    return [place / name for place in places if place.is_dir() for name in names(place) & ids]


def network_differences(engine: LiveEngine, full: list[Json], alive: set[str]) -> list[str]:
    problems = []
    endpoints = sum(bool(each["EndpointID"]) and each["IPAddress"] != "" for row in full if row["Id"] in alive
                    for each in row["NetworkSettings"]["Networks"].values())
    links = [row["ifname"] for row in links_of(engine) if row.get("linkinfo", {}).get("info_kind") == "veth"
             and row["ifname"] != "eth0"]
    stock = max(0, len(links) - endpoints)
    if len(links) < endpoints or stock:
        problems.append(f"{len(links)} links for {endpoints} endpoints: {links}")
    known = engine.api.json("GET", "/networks")
    bridges = {row["ifname"] for row in links_of(engine) if row.get("linkinfo", {}).get("info_kind") == "bridge"}
    wanted = sum(row["Driver"] == "bridge" for row in known)
    if len(bridges) != wanted:
        problems.append(f"bridges {bridges} for {wanted} networks")
    for row in known:
        users = engine.api.json("GET", f"/networks/{row['Id']}")["Containers"]
        here = {each["Id"] for each in full if each["Id"] in alive
                and row["Name"] in each["NetworkSettings"]["Networks"]}
        if row["Driver"] == "bridge" and set(users) != here:
            problems.append(f"network {row['Name']} has {set(users)} and not {here}")
        addresses = [each["IPv4Address"] for each in users.values()]
        if len(addresses) != len(set(addresses)):
            problems.append(f"an address twice on {row['Name']}: {addresses}")
    return problems


def links_of(engine: LiveEngine) -> list[Json]:
    done = subprocess.run(["ip", "-n", engine.name, "-d", "-j", "link"], capture_output=True, text=True, check=True)
    found: list[Json] = json.loads(done.stdout or "[]")
    return found
