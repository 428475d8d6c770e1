"""Docker's own command line, where this machine has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("SOLVA_PEER_ROOT", "/var/cache/solva/peer"))


def client_command() -> list[str]:
    """What stands before `env … docker …` to run the real client with buildx and compose: in the peer's root, where a
    real Docker runs there. Skips the test otherwise."""
    pid = Path(f"{ROOT}.run/dockerd.pid")
    if not pid.exists() or not Path(f"/proc/{pid.read_text().strip()}").exists():
        pytest.skip("no real Docker runs here (tools/peer-docker.sh start brings one up)")
    return ["nsenter", "-t", pid.read_text().strip(), "-m", "--wd=/tmp", "--", "env", "HOME=/root"]
