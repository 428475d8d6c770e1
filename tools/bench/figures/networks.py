"""Networks over the API: made and removed, connected and disconnected, and the hundredth container on a bridge."""

from __future__ import annotations

import statistics
import time

from tools.bench.figure import Aim, Figure
from tools.bench.sides import Side

COUNT = 50
HUNDRED = 100


def _name(side: Side, what: str) -> str:
    return f"{side.prefix}-net-{what}"


def create_delete(side: Side) -> float:
    """Seconds for 50 networks, each with a subnet given: the pools hold 31."""
    began = time.perf_counter()
    for index in range(COUNT):
        side.api.json("POST", "/networks/create", body={
            "Name": _name(side, str(index)), "IPAM": {"Config": [{"Subnet": f"10.99.{index}.0/24"}]}})
    for index in range(COUNT):
        side.api.json("DELETE", f"/networks/{_name(side, str(index))}")
    return time.perf_counter() - began


def a_container_beside_a_network(side: Side) -> None:
    side.image("busybox")
    side.cli("network", "create", _name(side, "live"))
    side.cli("run", "-d", "--name", _name(side, "live"), "busybox", "sleep", "3600")


def connect_disconnect(side: Side) -> float:
    name = _name(side, "live")
    began = time.perf_counter()
    for _ in range(COUNT):
        for verb in ("connect", "disconnect"):
            side.api.json("POST", f"/networks/{name}/{verb}", body={"Container": name})
    return time.perf_counter() - began


def forget_live(side: Side) -> None:
    side.cli("rm", "-f", _name(side, "live"), check=False)
    side.cli("network", "rm", _name(side, "live"), check=False)


def a_network(side: Side) -> None:
    side.image("busybox")
    side.cli("network", "create", _name(side, "many"))


def hundredth(side: Side) -> float:
    """How many times as long a connection to the network takes with 99 containers on it, each with a published port, as
    with none (medians of 9)."""
    network = _name(side, "many")
    names = [f"{network}-{index}" for index in range(HUNDRED)]
    made = 1
    try:
        _start(side, names[0], "bridge")
        first = _connections(side, network, names[0])
        for name in names[1:]:
            made += 1
            _start(side, name, network)
        return _connections(side, network, names[0]) / first
    finally:
        side.cli("rm", "-f", *names[:made], check=False)


def _start(side: Side, name: str, network: str) -> None:
    side.api.json("POST", "/containers/create", query={"name": name}, body={
        "Image": "busybox", "Cmd": ["sleep", "3600"], "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"NetworkMode": network, "PortBindings": {"80/tcp": [{"HostPort": ""}]}}})
    side.api.json("POST", f"/containers/{name}/start")


def _connections(side: Side, network: str, name: str) -> float:
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        side.api.json("POST", f"/networks/{network}/connect", body={"Container": name})
        taken.append(time.perf_counter() - began)
        side.api.json("POST", f"/networks/{network}/disconnect", body={"Container": name})
    return statistics.median(taken)


def forget_many(side: Side) -> None:
    side.cli("network", "rm", _name(side, "many"), check=False)


FIGURES = (
    Figure("networks", "create and delete 50 networks", "s", create_delete, Aim(ratio=0.4), runs=3),
    Figure("connect", "connect and disconnect a container 50 times", "s", connect_disconnect, Aim(ratio=0.4),
           prepare=a_container_beside_a_network, cleanup=forget_live, runs=3),
    Figure("hundredth", "attaching the 100th container to a bridge by the 1st", "×", hundredth, Aim(value=1.5),
           prepare=a_network, cleanup=forget_many, runs=1),
)
