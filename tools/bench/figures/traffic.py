"""What gets through a bridge network and its published ports: one TCP stream of iperf3, the same program on both sides.

The container only lends its namespaces: iperf3 runs in them from outside, for no image has it.
"""

from __future__ import annotations

import subprocess
from functools import partial

from tools.bench.figure import Aim, Figure
from tools.bench.figures.overlay import iperf3, throughput
from tools.bench.sides import CannotMeasure, Side

PORT = 5299
LAN = "sbenchlan"


def _name(side: Side, what: str) -> str:
    return f"{side.prefix}-tcp-{what}"


def _published(side: Side) -> str:
    """An address of the machine that is none of loopback."""
    found = side.command("/usr/sbin/ip", "-4", "-o", "addr", "show", "dev", "eth0").output
    return found.split(" inet ")[1].split("/")[0]


def prepare(side: Side) -> None:
    iperf3()
    side.image("busybox")
    side.cli("network", "create", _name(side, "net"))
    for name, options in (("server", ("-p", f"{PORT}:{PORT}")), ("client", ())):
        side.cli("run", "-d", "--name", _name(side, name), "--network", _name(side, "net"), *options, "busybox",
                 "sleep", "100000")


def prepare_lan(side: Side) -> None:
    """Another machine: a namespace at the other end of a link of the engine's."""
    prepare(side)
    _ip("netns", "add", f"{LAN}-{side.name}")
    _ip("link", "add", LAN, "netns", _file(side), "type", "veth", "peer", "name", "eth0", "netns", f"{LAN}-{side.name}")
    for where, link, address in ((_file(side), LAN, "192.0.2.1/24"), (f"{LAN}-{side.name}", "eth0", "192.0.2.9/24")):
        _ip("-n", where, "addr", "add", address, "dev", link)
        _ip("-n", where, "link", "set", link, "up")


def _file(side: Side) -> str:
    """The engine's namespace, under a name that ip takes."""
    name = f"sbench-host-{side.name}"
    _ip("netns", "attach", name, side.netns.split("/")[2], check=False) if side.netns.startswith("/proc/") else None
    return name if side.netns.startswith("/proc/") else side.netns.rpartition("/")[2]


def _ip(*words: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise CannotMeasure(f"ip {' '.join(words)}: {done.stderr.strip()}")


def cleanup(side: Side) -> None:
    side.cli("rm", "-f", _name(side, "server"), _name(side, "client"), check=False)
    side.cli("network", "rm", _name(side, "net"), check=False)
    _ip("netns", "del", f"{LAN}-{side.name}", check=False)      # the link goes with it
    if side.netns.startswith("/proc/"):
        _ip("netns", "del", f"sbench-host-{side.name}", check=False)


def _inside(side: Side, name: str) -> list[str]:
    pid = side.api.json("GET", f"/containers/{_name(side, name)}/json")["State"]["Pid"]
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *iperf3()]


def between(side: Side) -> float:
    """From a container to another's address."""
    networks = side.api.json("GET", f"/containers/{_name(side, 'server')}/json")["NetworkSettings"]["Networks"]
    return throughput(_inside(side, "server"), _inside(side, "client"), networks[_name(side, "net")]["IPAddress"])


def to_published(side: Side, *, address: str = "") -> float:
    """From the host to its own published port."""
    return throughput(_inside(side, "server"), ["nsenter", f"--net={side.netns}", *iperf3()],
                      address or _published(side))


def from_lan(side: Side) -> float:
    """From another machine to a published port of the host."""
    client = ["nsenter", f"--net=/run/netns/{LAN}-{side.name}", *iperf3()]
    return throughput(_inside(side, "server"), client, "192.0.2.1")


FIGURES = (
    Figure("tcp-bridge", "container to container on a bridge, one TCP stream", "Gbit/s", between,
           Aim(ratio=0.98, better="more"), prepare=prepare, cleanup=cleanup, runs=7),
    Figure("tcp-published", "host to a published port at its address", "Gbit/s", to_published,
           Aim(ratio=0.98, better="more"), prepare=prepare, cleanup=cleanup, runs=7),
    Figure("tcp-lan", "another machine to a published port", "Gbit/s", from_lan,
           Aim(ratio=0.98, better="more"), prepare=prepare_lan, cleanup=cleanup, runs=7),
    Figure("tcp-loopback", "host to a published port at 127.0.0.1", "Gbit/s",
           partial(to_published, address="127.0.0.1"), Aim(ratio=1.3, better="more"), prepare=prepare, cleanup=cleanup,
           runs=7),
)
