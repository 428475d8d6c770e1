"""As systemd starts the engine: with its socket, and told when ready; the socket outlives the engine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from solva.client.transport import Transport
from support.engine import missing, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.root
def test_socket_activation(tmp_path: Path) -> None:
    reason = missing()
    if reason:
        pytest.skip(reason)
    path, told = tmp_path / "run" / "solva.sock", tmp_path / "notify"
    path.parent.mkdir()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(told))
    notify.settimeout(30)
    name = f"solva-sd-{os.getpid()}"
    run("ip", "netns", "add", name)
    # what systemd does: descriptor 3, and the pid of the very process; `engine run` goes on as the engine
    script = (f"mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir /run/solva && "
              f"mount --bind {path.parent} /run/solva && "
              f"exec 3<&{listening.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET={told}; "
              f"exec {sys.executable} -m solva.cli engine run --data-root {tmp_path}/data")
    with (tmp_path / "log").open("wb") as log:
        command = ["nsenter", f"--net=/run/netns/{name}", "unshare", "-m", "bash", "-c", script]
        process = subprocess.Popen(command, stdout=log, stderr=log,
                                   pass_fds=(listening.fileno(),), cwd=ROOT)
    try:
        assert notify.recv(100) == b"READY=1", (tmp_path / "log").read_text()
        assert Transport(f"unix://{path}").json("GET", "/version")["ApiVersion"] == "1.51"
        process.send_signal(signal.SIGTERM)
        assert notify.recv(100) == b"STOPPING=1"
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
        assert path.exists()
        socket.socket(socket.AF_UNIX).connect(str(path))   # and is still listened on: by systemd
    finally:
        if process.poll() is None:
            process.kill()
        pid = tmp_path / "run" / "dns" / "dns.pid"
        if pid.exists():
            os.kill(int(pid.read_text().split()[0]), signal.SIGTERM)
        run("ip", "netns", "del", name, check=False)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_units_are_valid(tmp_path: Path) -> None:
    for unit in ("solva.service", "solva.socket"):
        text = (ROOT / "contrib" / "systemd" / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/usr/local/bin/solva", "/bin/true"))
    done = run("systemd-analyze", "verify", str(tmp_path / "solva.service"), str(tmp_path / "solva.socket"),
               check=False)
    assert [line for line in done.stderr.splitlines() if "solva" in line] == []
