"""The engine and the client's daily verbs."""

from __future__ import annotations

import time
from pathlib import Path

from tools.bench.figure import Aim, Figure
from tools.bench.sides import CannotMeasure, Side, Solva


def busybox(side: Side) -> None:
    side.image("busybox")


def run_true(side: Side) -> float:
    return 1000 * side.cli("run", "--rm", "busybox", "true").seconds


def five_containers(side: Side) -> None:
    busybox(side)
    for index in range(5):
        side.cli("run", "-d", "--name", f"{side.prefix}-ps-{index}", "busybox", "sleep", "3600")


def ps(side: Side) -> float:
    return 1000 * side.cli("ps").seconds


def one_container(side: Side) -> None:
    busybox(side)
    side.cli("run", "-d", "--name", f"{side.prefix}-exec", "busybox", "sleep", "3600")


def exec_true(side: Side) -> float:
    return 1000 * side.cli("exec", f"{side.prefix}-exec", "true").seconds


def start_to_ready(side: Side) -> float:
    """The engine ended, then the time from its process' start to the first answer."""
    assert isinstance(side, Solva)
    side.engine.stop()
    began = time.perf_counter()
    side.engine.start()
    return time.perf_counter() - began


def resident(side: Side) -> float:
    """Resident memory in MB of the processes that are always there; a container has run before."""
    total = 0.0
    for name, pid in side.processes().items():
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024 / 1e6
                break
        else:
            raise CannotMeasure(f"{name} has no VmRSS")
    return total


def use_once(side: Side) -> None:
    busybox(side)
    run_true(side)


FIGURES = (
    Figure("run", "`run --rm busybox true`, warm engine, whole process", "ms", run_true, Aim(ratio=0.5),
           prepare=busybox),
    Figure("ps", "`ps`, five containers", "ms", ps, Aim(ratio=1.0), prepare=five_containers, runs=21),
    Figure("exec", "`exec CONTAINER true`", "ms", exec_true, prepare=one_container),
    Figure("memory", "resident memory of engine + names, idle (dockerd + containerd)", "MB", resident,
           Aim(ratio=0.6), prepare=use_once, runs=3, warm_up=0),
    Figure("ready", "start of the engine until it answers", "s", start_to_ready, Aim(value=0.5), runs=5,
           ours_alone=True),
)
