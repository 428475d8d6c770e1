"""The two sides of a comparison: Solva's engine in a namespace of its own, and the peer, a real Docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.support.engine import LiveEngine

from solva.client.transport import Transport
from solva.kernel.setns import in_netns

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / "tools" / "peer-docker.sh"
T = TypeVar("T")


class CannotMeasure(Exception):
    """A figure cannot be had here; the text says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended: ``seconds`` from its start to its end, ``cpu`` seconds used, both streams as text, and
    ``memory``, the most of it that it or a child had resident, in kB."""

    seconds: float
    status: int
    output: str
    cpu: float
    memory: int = 0


class Spawner:
    """The process of `spawner.py` inside the namespaces of ``pid``."""

    def __init__(self, pid: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", str(Path(__file__).with_name("spawner.py")), str(pid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, argv: list[str], env: dict[str, str], cwd: str) -> Done:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"argv": argv, "env": env, "cwd": cwd}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise CannotMeasure(f"the spawner ended with {self._process.wait()}")
        return Done(**json.loads(line))

    def close(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()


class Side:
    """What a figure measures on. ``name`` is ``solva`` or ``docker``.

    ``socket``: the API's, from where this process is. ``netns``: path of the engine's network namespace, where its
    published ports are. ``folder``: files for commands, at the same path on both sides. ``prefix``: what the names of
    all that a figure makes begin with; another run's on the same peer is another.
    """

    prefix = f"sbench{os.getpid()}"

    def __init__(self, name: str, socket: Path, netns: str, folder: Path, command: list[str], env: dict[str, str],
                 pid: int) -> None:
        self.name, self.socket, self.netns, self.folder = name, socket, netns, folder
        self._command, self._env = command, env
        self._spawner = Spawner(pid)

    def cli(self, *arguments: str, cwd: Path | None = None, check: bool = True,
            env: dict[str, str] | None = None) -> Done:
        """The side's client as a whole process: `solva ARGUMENTS` or `docker ARGUMENTS`.

        CannotMeasure with what it said, when ``check`` and it failed.
        """
        return self.command(*self._command, *arguments, cwd=cwd, check=check, env=env)

    def command(self, *argv: str, cwd: Path | None = None, check: bool = True,
                env: dict[str, str] | None = None) -> Done:
        """Any program (absolute path) in the side's mount and network namespace."""
        done = self._spawner.run(list(argv), self._env | (env or {}), str(cwd or self.folder))
        if check and done.status:
            said = done.output.strip().splitlines()[-3:]
            raise CannotMeasure(f"`{' '.join(map(os.path.basename, argv[:1]))} {' '.join(argv[1:])}` ended with "
                                f"{done.status}: {' | '.join(said)}")
        return done

    @property
    def api(self) -> Transport:
        """A client of its API, of this process."""
        return Transport(f"unix://{self.socket}")

    def inside(self, call: Callable[[], T]) -> T:
        """``call()`` in the engine's network namespace, in this process."""
        return in_netns(self.netns, call)

    def image(self, name: str) -> None:
        """Have the image of that name, by a pull when it is not there."""
        if self.cli("image", "inspect", name, check=False).status:
            self.cli("pull", "-q", name)

    def load(self, archive: Path) -> None:
        """Load an image archive; ``archive`` must be below ``folder``."""
        self.cli("load", "-q", "-i", str(archive))

    def processes(self) -> dict[str, int]:
        """The processes that are there when no container is, by what they are."""
        raise NotImplementedError

    def ours(self, name: str) -> bool:
        """Whether an object of this name is this run's, or of a run that has ended."""
        found = re.match(r"/?sbench(\d+)", name)
        return bool(found) and (int(found[1]) == os.getpid() or not os.path.exists(f"/proc/{found[1]}"))

    def clear(self) -> None:
        """Remove every container, network and volume of ours."""
        rows = self.api.json("GET", "/containers/json", query={"all": True})
        for row in rows:
            if any(self.ours(name) for name in row["Names"]):
                self.api.json("DELETE", f"/containers/{row['Id']}", query={"force": True, "v": True})
        for row in self.api.json("GET", "/networks"):
            if self.ours(row["Name"]):
                self.api.json("DELETE", f"/networks/{row['Id']}")
        # only of local: a volume plugin that does not answer holds a list of all for 15 s
        for row in self.api.json("GET", "/volumes", query={"filters": {"driver": ["local"]}})["Volumes"] or []:
            if self.ours(row["Name"]):
                self.api.json("DELETE", f"/volumes/{row['Name']}")

    def close(self) -> None:
        try:
            self.clear()
        finally:
            self._spawner.close()


_PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
          "TERM": "dumb"}


class Solva(Side):
    """Our engine, with a data root and a namespace of its own; docker.io's images come from the stand-ins' registry
    where Docker Hub cannot be reached."""

    def __init__(self, folder: Path) -> None:
        self.engine = LiveEngine(folder / "solva", f"sbench-{os.getpid()}", outside=True)
        self.engine.make_netns()
        self._mirror = ""
        try:
            self._images()
            self.engine.start()
            script = ROOT / ".venv" / "bin" / "solva"
            host = f"unix://{self.engine.socket}"
            process = self.engine.process
            assert process is not None
            super().__init__("solva", self.engine.socket, self.engine.netns, folder, [str(script)],
                             _PLAIN | {"SOLVA_HOST": host}, process.pid)
        except BaseException:
            self._end()
            raise

    def _images(self) -> None:
        address = f"{self.engine.host_address}:5050"
        done = subprocess.run([sys.executable, "-m", "standins", "up", "--no-config", "--also", address], cwd=ROOT,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotMeasure(f"no images: {(done.stdout + done.stderr).strip()}")
        if address in done.stdout:
            self._mirror = address
            (self.engine.root / "engine.toml").write_text(
                f'[registry]\ninsecure = ["{address}"]\n[registry.mirrors]\n"docker.io" = ["http://{address}"]\n')

    @property
    def pid(self) -> int:
        assert self.engine.process is not None
        return self.engine.process.pid

    def processes(self) -> dict[str, int]:
        dns = int((self.engine.root / "run" / "dns" / "dns.pid").read_text().split()[0])
        return {"engine": self.pid, "dns": dns}

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._end()

    def _end(self) -> None:
        self.engine.close()
        if self._mirror:
            subprocess.run([sys.executable, "-m", "standins", "down", "--only", self._mirror], cwd=ROOT,
                           capture_output=True, check=False)


class Docker(Side):
    """The peer; CannotMeasure with the reason where it cannot be had."""

    def __init__(self, folder: Path) -> None:
        done = subprocess.run([str(PEER), "start"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotMeasure(f"no Docker to compare with: {(done.stderr or done.stdout).strip()}")
        socket = Path(done.stdout.strip().splitlines()[-1])
        self._pid = int((socket.parent / "dockerd.pid").read_text())
        super().__init__("docker", socket, f"/proc/{self._pid}/ns/net", folder, ["/usr/bin/docker"],
                         _PLAIN | {"DOCKER_HOST": "unix:///run/peer/docker.sock"}, self._pid)
        self.clear()

    def processes(self) -> dict[str, int]:
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            except OSError:
                continue
            if lines.get("Name") == "containerd" and lines.get("PPid") == str(self._pid):
                return {"dockerd": self._pid, "containerd": int(status.parent.name)}
        raise CannotMeasure("the peer's containerd is not found")


def versions(side: Side) -> dict[str, Any]:
    """What `GET /version` says, in short."""
    answer = side.api.json("GET", "/version")
    return {key: answer.get(key) for key in ("Version", "ApiVersion", "KernelVersion")}
