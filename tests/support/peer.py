"""A real Docker beside Solva, and Docker's own command line, where this machine has them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("SOLVA_PEER_ROOT", "/var/cache/solva/peer"))
SOCKET = Path(f"{ROOT}.run/docker.sock")
ABSENT = "no real Docker runs here (tools/peer-docker.sh start brings one up)"


def running() -> int:
    """The peer's process id; 0 when none runs. Its files may be there after it: it has to answer."""
    try:
        pid = int(Path(f"{ROOT}.run/dockerd.pid").read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() != "dockerd":
            return 0
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(5)
            knock.connect(str(SOCKET))
        return pid
    except (OSError, ValueError):
        return 0


def endpoint() -> str:
    """Where it listens. Skips the test where none runs."""
    if not running():
        pytest.skip(ABSENT)
    return f"unix://{SOCKET}"


def client_command() -> list[str]:
    """What stands before `env … docker …` to run the real client with buildx and compose: in the peer's root, where a
    real Docker runs there. Skips the test otherwise."""
    pid = running()
    if not pid:
        pytest.skip(ABSENT)
    return ["nsenter", "-t", str(pid), "-m", "--wd=/tmp", "--", "env", "HOME=/root"]
