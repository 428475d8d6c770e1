"""Pairs of a Compose and an engine: Solva's or Docker's command line against Solva's engine or a real dockerd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from solva.client.transport import Transport

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / "tools" / "peer-docker.sh"


class Stack:
    """One project in a folder of its own, driven by one Compose on one engine.

    ``cli``: solva | docker. The text of a scenario is written with `file`; objects are read from the engine itself.
    """

    def __init__(self, folder: Path, project: str, cli: str, endpoint: str) -> None:
        self.folder, self.project, self.cli, self.endpoint = folder, project, cli, endpoint
        self.api = Transport(endpoint)

    def file(self, text: str, name: str = "compose.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def argv(self, *arguments: str) -> list[str]:
        if self.cli == "docker":
            return [str(PEER), "run", "docker", "compose", "-p", self.project, *arguments]
        return [sys.executable, "-m", "solva.cli", "compose", "-p", self.project, *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        if self.cli == "docker" and self.endpoint.endswith("peer.run/docker.sock"):
            return {**os.environ, "DOCKER_HOST": "unix:///run/peer/docker.sock", **more}    # as its root has it
        return {**os.environ, "DOCKER_HOST": self.endpoint, "SOLVA_HOST": self.endpoint, **more}

    def __call__(self, *arguments: str, check: bool = True, stdin: str = "", **environment: str) \
            -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.argv(*arguments), cwd=self.folder, env=self.environment(**environment),
                              capture_output=True, text=True, timeout=120, check=False, input=stdin)
        if check:
            assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def as_(self, cli: str) -> Stack:
        """The same project by the other Compose."""
        return Stack(self.folder, self.project, cli, self.endpoint)

    # what is there, asked of the engine

    def containers(self, service: str = "") -> dict[str, dict[str, Any]]:
        """Inspected, by name without the project."""
        wanted = [f"com.docker.compose.project={self.project}"]
        if service:
            wanted.append(f"com.docker.compose.service={service}")
        rows = self.api.json("GET", "/containers/json", query={"all": True, "filters": {"label": wanted}})
        found = {}
        for row in rows:
            data = self.api.json("GET", f"/containers/{row['Id']}/json")
            found[data["Name"].lstrip("/").removeprefix(f"{self.project}-")] = data
        return found

    def ids(self) -> dict[str, str]:
        return {name: data["Id"] for name, data in self.containers().items()}

    def read(self, service: str, command: str) -> str:
        """What a shell in the service's first container prints."""
        return self("exec", "-T", service, "sh", "-c", command).stdout

    def networks(self) -> dict[str, Any]:
        found = self.api.json("GET", "/networks", query={
            "filters": {"label": [f"com.docker.compose.project={self.project}"]}})
        return {row["Name"].removeprefix(f"{self.project}_"): row for row in found}

    def rows(self, *arguments: str) -> dict[str, dict[str, Any]]:
        out = self("ps", "-a", "--format", "json", *arguments).stdout
        return {row["Service"]: row for row in map(json.loads, out.splitlines())}
