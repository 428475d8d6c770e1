"""Networks of running containers over the deaths of others: of the container whose namespace they share, and of the
engine between any two steps."""

from __future__ import annotations

import time
from typing import Any

import pytest

from solva.errors import SolvaError
from support.engine import LiveEngine, run

pytestmark = pytest.mark.root
Json = dict[str, Any]


def start(engine: LiveEngine, name: str, *words: str) -> None:
    engine.cli("run", "-d", "--name", name, *words, "busybox", "sleep", "1000")


def execute(engine: LiveEngine, name: str, command: str, *, status: int | None = 0) -> str:
    done = engine.cli("exec", name, "sh", "-c", command, check=False)
    assert status is None or done.returncode == status, done.stdout + done.stderr
    return done.stdout


def inspect(engine: LiveEngine, name: str) -> Json:
    found: Json = engine.api.json("GET", f"/containers/{name}/json")
    return found


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def test_a_joined_namespace_outlives_the_container_it_joins(own_engine: LiveEngine) -> None:
    engine = own_engine
    engine.cli("network", "create", "app")
    start(engine, "owner", "--network", "app", "-p", "127.0.0.1:39085:80")
    start(engine, "joiner", "--network", "container:owner")
    start(engine, "other", "--network", "app")
    engine.cli("exec", "-d", "joiner", "sh", "-c", "mkdir -p /w && echo joined > /w/index.html && httpd -f -p 80 -h /w")
    address = inspect(engine, "owner")["NetworkSettings"]["Networks"]["app"]["IPAddress"]
    ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 owner 80 | tail -1"
    until(lambda: execute(engine, "other", ask, status=None) == "joined\n")

    engine.cli("restart", "-t", "0", "owner")
    assert execute(engine, "other", ask) == "joined\n"
    assert engine.get("http://127.0.0.1:39085/") == b"joined\n"
    assert inspect(engine, "owner")["NetworkSettings"]["Networks"]["app"]["IPAddress"] == address
    for name in ("owner", "joiner"):
        assert address in execute(engine, name, "ip -4 addr show eth0")

    engine.cli("stop", "-t", "0", "owner")      # the other one stays reachable while it is down
    assert execute(engine, "other", ask) == "joined\n"
    engine.kill()
    engine.start()
    assert execute(engine, "other", ask) == "joined\n"
    engine.cli("network", "create", "more")
    engine.cli("network", "connect", "more", "owner")      # while it is stopped: its wishes are others now
    engine.cli("start", "owner")
    assert execute(engine, "joiner", "ip -o link | grep -c eth").strip() == "2"
    until(lambda: execute(engine, "other", ask, status=None) == "joined\n")

    engine.cli("stop", "-t", "0", "owner")
    engine.cli("stop", "-t", "0", "joiner")      # nobody is in it any more
    until(lambda: len(netns_pins(engine)) == 1)
    engine.cli("start", "owner")
    engine.cli("start", "joiner")
    assert execute(engine, "joiner", "ip -o link | grep -c eth").strip() == "2"


def netns_pins(engine: LiveEngine) -> list[str]:
    return [path.name for path in (engine.root / "run" / "netns").iterdir()]


CONNECT = ["join: address", "join: link", "join: configured", "settle: routed", "connect: settled", "connect: names"]
DISCONNECT = ["settle: routed", "disconnect: settled", "disconnect: left"]
ATTACH = ["attach: pinned", "join: link", "publish: rules", "attach: files", "attach: names"]
DETACH = ["detach: ports", "detach: left"]


def act(engine: LiveEngine, verb: str) -> None:
    """One request; an error for one that nobody answers any more."""
    if verb in ("start", "stop"):
        engine.api.json("POST", f"/containers/box/{verb}", query={"t": 0} if verb == "stop" else None)
    else:
        engine.api.json("POST", f"/networks/one/{verb}", body={"Container": "box"})


def renew(engine: LiveEngine, monkeypatch: pytest.MonkeyPatch, point: str = "") -> None:
    """Another engine, which will die at ``point``."""
    monkeypatch.setenv("SOLVA_FAULT", point)
    engine.stop()
    engine.start()


def die(engine: LiveEngine, point: str, verb: str) -> None:
    """It does something and dies in the middle of it."""
    with pytest.raises((SolvaError, OSError)):
        act(engine, verb)
    assert engine.process is not None
    assert engine.process.wait(30) == -9, f"{point}: the engine did not come by"


def inside(pid: int, *command: str) -> str:
    return run("nsenter", "-t", str(pid), "-n", "--", *command).stdout


def agreed(engine: LiveEngine, name: str) -> Json:
    """Kernel, store and records say the same of the one container, and there is nothing else. As inspected."""
    found = inspect(engine, name)
    running = found["State"]["Running"]
    networks = found["NetworkSettings"]["Networks"] if running else {}
    live = [row for row in networks.values() if row["EndpointID"]]
    assert len(live) == len(networks), networks
    if running:
        addresses = inside(found["State"]["Pid"], "ip", "-4", "-o", "addr")
        hosts = (engine.root / "run" / "sandboxes" / found["Id"] / "hosts").read_text()
        for row in live:
            assert f"inet {row['IPAddress']}/" in addresses, addresses
            assert f"{row['IPAddress']}\t" in hosts, hosts
        assert addresses.count("inet ") == len(live) + 1, addresses
        assert len([line for line in hosts.splitlines() if line.startswith(("172.", "192.168."))]) == len(live), hosts
        routes = inside(found["State"]["Pid"], "ip", "route", "show", "default")
        gateway = min(networks.items())[1]["Gateway"]      # the first by name
        assert routes.startswith(f"default via {gateway} "), routes

    def links() -> int:
        shown = run("ip", "-n", engine.name, "-o", "link", "show", "type", "veth").stdout
        return len([line for line in shown.splitlines() if "veth" in line.split(":")[1]])

    until(lambda: links() == len(live))
    until(lambda: netns_pins(engine) == ([found["Id"]] if running else []))
    rules = run("ip", "netns", "exec", engine.name, "nft", "list", "ruleset").stdout
    assert rules.count(". 39086 : ") == int(running), rules
    for network in engine.api.json("GET", "/networks"):
        users = set(engine.api.json("GET", f"/networks/{network['Id']}")["Containers"])
        assert users == ({found["Id"]} if network["Name"] in networks else set()), (network["Name"], users)
    return found


def test_the_engine_dies_between_any_two_steps(own_engine: LiveEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each engine finds what the one before it left half done, and dies at the next point itself."""
    engine = own_engine
    for name in ("one", "two"):
        engine.cli("network", "create", name)
    start(engine, "box", "--network", "two", "-p", "39086:80")

    def networks() -> set[str]:
        return set(agreed(engine, "box")["NetworkSettings"]["Networks"])

    for point in CONNECT:      # "one" comes before "two": it becomes the way out
        renew(engine, monkeypatch, point)
        assert networks() == {"two"}
        die(engine, point, "connect")
    renew(engine, monkeypatch)
    agreed(engine, "box")
    act(engine, "connect")
    agreed(engine, "box")
    for point in DISCONNECT:
        renew(engine, monkeypatch, point)
        assert networks() == {"one", "two"}
        die(engine, point, "disconnect")
    for point in DETACH:
        renew(engine, monkeypatch)      # it detaches what the one before it left half detached
        if not agreed(engine, "box")["State"]["Running"]:
            act(engine, "start")
        renew(engine, monkeypatch, point)
        assert networks() == {"two"}
        die(engine, point, "stop")
    renew(engine, monkeypatch)
    for point in ATTACH:
        renew(engine, monkeypatch, point)
        assert not agreed(engine, "box")["State"]["Running"]
        die(engine, point, "start")
    renew(engine, monkeypatch)
    act(engine, "start")
    agreed(engine, "box")
    engine.cli("rm", "-f", "box")
    for name in ("one", "two"):
        engine.cli("network", "rm", name)


def test_a_link_and_a_namespace_taken_away_underneath(own_engine: LiveEngine) -> None:
    engine = own_engine
    engine.cli("network", "create", "app")
    start(engine, "box", "--network", "app")
    start(engine, "peer", "--network", "app")
    shown = run("ip", "-n", engine.name, "-o", "link", "show", "type", "veth").stdout
    for line in shown.splitlines():
        name = line.split(":")[1].strip().partition("@")[0]
        if name.startswith("veth"):
            run("ip", "-n", engine.name, "link", "del", name)
    engine.stop()
    engine.start()      # what is missing is made again
    execute(engine, "peer", "ping -c 1 -W 2 box")
    pin = engine.root / "run" / "netns" / inspect(engine, "box")["Id"]
    run("umount", "-l", str(pin))
    engine.cli("network", "disconnect", "app", "box", check=False)      # whatever it says, it ends
    engine.cli("rm", "-f", "box")
    with pytest.raises(SolvaError, match="No such container"):
        inspect(engine, "box")
    assert not pin.exists()
    engine.cli("rm", "-f", "peer")
    engine.cli("network", "rm", "app")
