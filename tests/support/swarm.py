"""Two real dockerds as the machines of a Swarm: the peer's root (tools/peer-docker.sh), a mount namespace and a network
namespace each, and a switch between them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from solva.errors import SolvaError

from .engine import LiveEngine, run

PEER_ROOT = Path(os.environ.get("SOLVA_PEER_ROOT", "/var/cache/solva/peer"))
_INNER = """\
set -e
mount --make-rprivate /
mount --bind {root} {root}
mount --rbind /proc {root}/proc; mount --rbind /sys {root}/sys; mount --rbind /dev {root}/dev
mount -t tmpfs tmpfs {root}/run
mkdir -p {root}/run/own {root}/var/lib/docker {root}/tmp
mount --bind {own} {root}/run/own
mount --bind {own}/data {root}/var/lib/docker
cd {root}; mkdir -p .old; pivot_root . .old; umount -l /.old
exec dockerd -H unix:///run/own/docker.sock --pidfile /run/own/dockerd.pid --data-root /var/lib/docker
"""


def missing_swarm() -> str:
    """Why there can be no Swarm here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root"
    if not (PEER_ROOT / "usr/bin/dockerd").exists() and not (PEER_ROOT / "usr/sbin/dockerd").exists():
        return "no real Docker's root is here (tools/peer-docker.sh start makes one)"
    return ""


class DockerMachine(LiveEngine):
    """A dockerd that is spoken to as an engine of ours is: by Solva's command line, over its socket."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(root, name)
        self.socket = root / "docker.sock"

    def start(self) -> None:
        (self.root / "data").mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net={self.netns}", "unshare", "-m", "bash", "-c",
                 _INNER.format(root=PEER_ROOT, own=self.root)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.api.json("GET", "/version")
                return
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"dockerd did not start: {error}\n{self.log.read_text()[-3000:]}") from None
                time.sleep(0.1)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for row in self.api.json("GET", "/containers/json", query={"all": True}):
                self.cli("rm", "-f", row["Id"], check=False)
            with suppress(SolvaError):      # it may be in none yet
                self.api.json("POST", "/swarm/leave", query={"force": True})
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        run("ip", "netns", "del", self.name, check=False)


@contextmanager
def swarm(root: Path, name: str) -> Iterator[list[DockerMachine]]:
    """Two managers with busybox; everything of them is gone afterwards."""
    machines = [DockerMachine(root / f"docker{number}", f"{name}-{number}") for number in (1, 2)]
    switch = f"{name}-sw"
    try:
        run("ip", "netns", "add", switch)
        run("ip", "-n", switch, "link", "add", "lan0", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "lan0", "up")
        for number, machine in enumerate(machines, 1):
            machine.make_netns()
            machine.address = f"10.203.0.{10 + number}"
            run("ip", "-n", switch, "link", "add", f"host{number}", "type", "veth", "peer", "name", "eth0", "netns",
                machine.name)
            run("ip", "-n", switch, "link", "set", f"host{number}", "master", "lan0", "up")
            run("ip", "-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", "eth0")
            run("ip", "-n", machine.name, "link", "set", "eth0", "up")
            machine.start()
            machine.load_busybox()
        first, second = machines
        first.api.json("POST", "/swarm/init", body={"ListenAddr": f"{first.address}:2377",
                                                    "AdvertiseAddr": first.address})
        token = first.api.json("GET", "/swarm")["JoinTokens"]["Manager"]
        second.api.json("POST", "/swarm/join", body={
            "ListenAddr": f"{second.address}:2377", "AdvertiseAddr": second.address, "JoinToken": token,
            "RemoteAddrs": [f"{first.address}:2377"]})
        yield machines
    finally:
        for machine in machines:
            machine.close()
        run("ip", "netns", "del", switch, check=False)
