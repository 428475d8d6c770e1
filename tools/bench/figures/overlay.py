"""Overlay networks: two machines that this file plays in network namespaces, and a cluster of each side's own on them:
two engines with an etcd, two dockerds in a Swarm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import cluster, swarm
from tests.support.engine import LiveEngine
from tools.bench.figure import Aim, Figure
from tools.bench.sides import CannotMeasure, Side

_SECONDS = 2


@dataclass(slots=True)
class Hosts:
    """``iperf3`` is one and the same program on both sides."""

    iperf3: list[str]
    stack: ExitStack = field(default_factory=ExitStack)
    inner: list[list[str]] = field(default_factory=list)        # how a program gets into each container's namespace
    outer: list[list[str]] = field(default_factory=list)        # and into the machine's
    address: str = ""


_HOSTS: dict[str, Hosts] = {}


def iperf3() -> list[str]:
    if shutil.which("iperf3"):
        return ["iperf3"]
    if (swarm.PEER_ROOT / "usr/bin/iperf3").exists():
        return ["chroot", str(swarm.PEER_ROOT), "/usr/bin/iperf3"]
    raise CannotMeasure("iperf3 is not installed")


def _prepare(side: Side) -> None:
    reason = cluster.missing_cluster() if side.name == "solva" else swarm.missing_swarm()
    if reason:
        raise CannotMeasure(reason)
    hosts = _HOSTS[side.name] = Hosts(iperf3())
    root = Path(tempfile.mkdtemp(prefix=f"overlay-{side.name}-", dir=side.folder))
    hosts.stack.callback(shutil.rmtree, root, ignore_errors=True)
    if side.name == "solva":
        lab = hosts.stack.enter_context(cluster.lab(root, f"sbov-{os.getpid()}", hosts=2))
        machines: list[LiveEngine] = lab.engines
    else:
        machines = list(hosts.stack.enter_context(swarm.swarm(root, f"sbod-{os.getpid()}")))
    machines[0].cli("network", "create", "-d", "overlay", "--attachable", "wide")
    for number, machine in enumerate(machines):
        cluster.until(lambda machine=machine: machine.cli("network", "inspect", "wide", check=False).returncode == 0,
                      "the network is everywhere")
        machine.cli("run", "-d", "--name", f"c{number}", "--network", "wide", "busybox", "sleep", "100000")
        found = json.loads(machine.cli("inspect", f"c{number}").stdout)[0]
        hosts.inner.append(["nsenter", f"--net=/proc/{found['State']['Pid']}/ns/net", *hosts.iperf3])
        hosts.outer.append(["nsenter", f"--net={machine.netns}", *hosts.iperf3])
        hosts.address = found["NetworkSettings"]["Networks"]["wide"]["IPAddress"]
    cluster.until(lambda: machines[0].cli("exec", "c0", "ping", "-c", "1", "-W", "1", hosts.address,
                                          check=False).returncode == 0, "the containers reach each other")


def throughput(server: list[str], client: list[str], address: str) -> float:
    listening = subprocess.Popen([*server, "-s", "-1", "-p", "5299"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
    try:
        for _ in range(50):
            done = subprocess.run([*client, "-c", address, "-p", "5299", "-t", str(_SECONDS), "-J"], check=False,
                                  capture_output=True, text=True)
            if done.returncode == 0:
                return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e9
            time.sleep(0.1)
        raise CannotMeasure(f"iperf3: {done.stdout[-200:]}{done.stderr[-200:]}")
    finally:
        listening.kill()
        listening.wait()


def _overlay(side: Side) -> float:
    hosts = _HOSTS[side.name]
    return throughput(hosts.inner[1], hosts.inner[0], hosts.address)


def _underlay(side: Side) -> float:
    hosts = _HOSTS[side.name]
    return throughput(hosts.outer[1], hosts.outer[0], "10.203.0.12")


def _cleanup(side: Side) -> None:
    hosts = _HOSTS.pop(side.name, None)
    if hosts is not None:
        hosts.stack.close()


FIGURES = (
    Figure("overlay-tcp", "overlay between two hosts, one TCP stream", "Gbit/s", _overlay,
           Aim(ratio=1.0, better="more"), prepare=_prepare, cleanup=_cleanup, runs=5),
    Figure("overlay-underlay", "the same two hosts without it", "Gbit/s", _underlay, Aim(), prepare=_prepare,
           cleanup=_cleanup, runs=3),
)
