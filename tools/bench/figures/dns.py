"""Names: questions a second for a local name with 32 under way, asked inside a container at 127.0.0.11:53."""

from __future__ import annotations

import socket
import struct
import time

from tools.bench.figure import Aim, Figure
from tools.bench.sides import CannotMeasure, Side

from solva.kernel.setns import in_netns

IN_FLIGHT = 32
SECONDS = 2.0


def _name(side: Side) -> str:
    return f"{side.prefix}-dns"


def prepare(side: Side) -> None:
    side.image("busybox")
    side.cli("network", "create", _name(side))
    side.cli("run", "-d", "--name", _name(side), "--network", _name(side), "busybox", "sleep", "600")


def cleanup(side: Side) -> None:
    side.cli("rm", "-f", _name(side), check=False)
    side.cli("network", "rm", _name(side), check=False)


def sample(side: Side) -> float:
    """Thousands of answers a second. The asker is one Python process and the same for both sides."""
    pid = side.api.json("GET", f"/containers/{_name(side)}/json")["State"]["Pid"]
    asking = in_netns(f"/proc/{pid}/ns/net", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    name = _name(side).encode()
    question = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + bytes([len(name)]) + name + b"\0\0\1\0\1"
    with asking:
        asking.connect(("127.0.0.11", 53))
        asking.settimeout(2)
        asking.send(question)
        if asking.recv(512)[3] & 0x0F:
            raise CannotMeasure(f"{side.name} does not know the name of its own container")
        for _ in range(IN_FLIGHT):
            asking.send(question)
        count, began = 0, time.monotonic()
        while (now := time.monotonic()) - began < SECONDS:
            for _ in range(IN_FLIGHT):
                try:
                    asking.recv(512)
                except TimeoutError:
                    count -= 1      # lost: asked again below, not counted
                asking.send(question)
            count += IN_FLIGHT
    return count / (now - began) / 1000


FIGURES = (
    Figure("dns", "names: a local one at 127.0.0.11, 32 in flight", "k/s", sample, Aim(ratio=1.2, better="more"),
           prepare=prepare, cleanup=cleanup, runs=7),
)
