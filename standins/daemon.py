"""Debian's docker-registry as processes of ours: one on loopback, more for other listeners, over one storage."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from standins.push import Registry

DEFAULT_ADDRESS = "127.0.0.1:5050"  # not 5000: the example's page is published there


def run_directory() -> Path:
    return Path(os.environ.get("SOLVA_STANDINS_RUN", "/run/solva-standins"))


def address() -> str:
    return os.environ.get("SOLVA_STANDINS_ADDRESS", DEFAULT_ADDRESS)


class CannotServe(Exception):
    """The registry could not be started."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A docker-registry process, found again by its pid file."""

    listen: str
    storage: Path
    readonly: bool = False

    def _file(self, kind: str) -> Path:
        return run_directory() / f"{self.listen.replace(':', '_')}.{kind}"

    def pid(self) -> int | None:
        """The pid of our running process, or None."""
        try:
            pid = int(self._file("pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if str(self._file("yml")).encode() in command else None

    def settings(self) -> str:
        readonly = "\n  maintenance:\n    readonly:\n      enabled: true" if self.readonly else ""
        return f"""\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {self.storage}}}
  cache: {{blobdescriptor: inmemory}}
  delete: {{enabled: true}}{readonly}
http:
  addr: {self.listen}
"""

    def start(self) -> bool:
        """Start it unless it runs, and return once it answers; False when it ran already."""
        registry = Registry(self.listen)
        if self.pid() is not None and registry.alive():
            return False
        self.stop()
        if registry.alive():
            raise CannotServe(
                f"{self.listen} is taken by a registry that is not ours; SOLVA_STANDINS_ADDRESS=127.0.0.1:PORT "
                f"chooses another port"
            )
        run_directory().mkdir(parents=True, exist_ok=True)
        self.storage.mkdir(parents=True, exist_ok=True)
        self._file("yml").write_text(self.settings())
        with open(self._file("log"), "wb") as log:
            try:
                process = subprocess.Popen(
                    ["docker-registry", "serve", str(self._file("yml"))],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                    env={"PATH": os.environ.get("PATH", os.defpath), "OTEL_TRACES_EXPORTER": "none"},
                )
            except FileNotFoundError as error:
                raise CannotServe("docker-registry is not installed: `make setup` does that") from error
        self._file("pid").write_text(f"{process.pid}\n")
        deadline = time.monotonic() + 15
        while not registry.alive():
            if process.poll() is not None or time.monotonic() > deadline:
                said = self._file("log").read_text(errors="replace").strip().splitlines()[-3:]
                self.stop()
                raise CannotServe(f"docker-registry does not serve on {self.listen}: {' | '.join(said)}")
            time.sleep(0.05)
        return True

    def stop(self) -> bool:
        """Stop it; False when it did not run."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 5
            while self.pid() is not None and _running(pid):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    break
                time.sleep(0.02)
        for kind in ("pid", "yml"):
            self._file(kind).unlink(missing_ok=True)
        return pid is not None


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_running(storage: Path) -> list[Daemon]:
    """Every process of ours that runs."""
    found = []
    for file in sorted(run_directory().glob("*.pid")):
        host, _, port = file.name.removesuffix(".pid").rpartition("_")
        daemon = Daemon(f"{host}:{port}", storage)
        if daemon.pid() is not None:
            found.append(daemon)
    return found
