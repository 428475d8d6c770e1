"""A live engine for tests: the real process, with roots and a network namespace of its own.

The namespace keeps its bridges, rules and addresses apart from the machine's (and from an engine that runs there);
a veth pair joins it to the host where a test needs the outside.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from solva.client.transport import Transport
from solva.kernel.setns import in_netns

T = TypeVar("T")


def missing() -> str:
    """Why no engine can run here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("crun", "conmon", "ip", "nsenter"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return ""


def run(*command: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command whose failure shows what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} -> {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def busybox_layer() -> bytes:
    """A root file system of Debian's static busybox with all its applets, as a tar."""
    applets = run("busybox", "--list").stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "root", "var", "var/www", "home", "dev", "proc", "sys"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(info)
        binary = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
        info = tarfile.TarInfo("bin/busybox")
        info.size, info.mode = len(binary), 0o755
        tar.addfile(info, io.BytesIO(binary))
        for applet in applets:
            if applet != "busybox":
                info = tarfile.TarInfo(f"bin/{applet}")
                info.type, info.linkname, info.mode = tarfile.LNKTYPE, "bin/busybox", 0o755
                tar.addfile(info)
        for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1::/:/bin/sh\n"
                                          "www:x:33:33::/var/www:/bin/sh\n"),
                           ("etc/group", "root:x:0:\nbin:x:1:\nwww:x:33:\nextra:x:44:www\n")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def docker_archive(tag: str, layer: bytes, config: dict[str, Any] | None = None) -> bytes:
    """An image of one layer in the format of `docker save`."""
    import hashlib

    diff = hashlib.sha256(layer).hexdigest()
    whole = {"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
             "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], **(config or {})},
             "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
             "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "test"}]}
    raw = json.dumps(whole).encode()
    name = hashlib.sha256(raw).hexdigest()
    manifest = json.dumps([{"Config": f"{name}.json", "RepoTags": [tag], "Layers": [f"{diff}/layer.tar"]}]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in ((f"{name}.json", raw), (f"{diff}/layer.tar", layer), ("manifest.json", manifest)):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class LiveEngine:
    """The process and its surroundings; ``start``, ``kill``, ``stop`` at will."""

    made = 0

    def __init__(self, root: Path, name: str, outside: bool = False, config: str = "") -> None:
        self.root, self.name = root, name
        self.socket = root / "run" / "solva.sock"
        self.netns = f"/run/netns/{name}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = root / "engine.log"
        self._outside = outside
        self._forwarding = ""
        self.host_address = self.address = ""
        self._config = root / "engine.toml"
        root.mkdir(parents=True, exist_ok=True)
        self._config.write_text(config)

    def configure(self, text: str) -> None:
        """Another configuration, for the next start."""
        self._config.write_text(text)

    # the machine around it

    def make_netns(self) -> None:
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        if self._outside:
            link = self._link()
            run("ip", "addr", "add", f"{self.host_address}/24", "dev", link)
            run("ip", "link", "set", link, "up")
            run("ip", "-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
            run("ip", "-n", self.name, "link", "set", "eth0", "up")
            run("ip", "-n", self.name, "route", "add", "default", "via", self.host_address)
            self._forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            table = self.name.replace("-", "_")
            run("nft", "-f", "-", input=f"""table ip {table} {{
                chain post {{
                    type nat hook postrouting priority 100
                    ip saddr {self.host_address}/24 oifname != "{link}" masquerade
                }}
            }}""")

    def _link(self) -> str:
        """A link to the host, on the first subnet that nobody has: other sessions' engines take theirs the same way."""
        for turn in range(200):
            LiveEngine.made += 1
            index = (os.getpid() + 67 * LiveEngine.made) % 200
            link = f"svt{index}"
            done = run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.name,
                       check=False)
            if done.returncode == 0:
                self.host_address, self.address = f"10.202.{index}.1", f"10.202.{index}.2"
                return link
            if "File exists" not in done.stderr or turn == 199:
                break
        raise AssertionError(f"no link for {self.name}: {done.stderr}")

    def start(self) -> None:
        """Start and wait for the socket."""
        log = self.log.open("ab")
        self.process = subprocess.Popen(
            ["nsenter", f"--net={self.netns}", "--", sys.executable, "-m", "solva.engine", "--socket", str(self.socket),
             "--data-root", str(self.root / "data"), "--run-root", str(self.root / "run"),
             "--config", str(self._config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        deadline = time.monotonic() + 20
        while True:
            try:
                self.api.json("GET", "/version")
                return
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"the engine did not start: {error}\n{self.log.read_text()[-4000:]}") from None
                time.sleep(0.01)

    def kill(self) -> None:
        """kill -9, as a crash."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM: the engine ends, its containers live on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def close(self) -> None:
        """Remove every container, end everything, remove the namespace."""
        if self.process is not None and self.process.poll() is None:
            for row in self.api.json("GET", "/containers/json", query={"all": True}):
                try:
                    self.api.json("DELETE", f"/containers/{row['Id']}", query={"force": True, "v": True})
                except Exception as error:
                    print(f"removing {row['Names']}: {error}")
        self.stop()
        for pid in ("dns/dns.pid", "cluster/agent.pid"):
            try:
                os.kill(int((self.root / "run" / pid).read_text().split()[0]), signal.SIGTERM)
            except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
                pass
        for row in Path("/proc/self/mountinfo").read_text().splitlines()[::-1]:
            point = row.split()[4]
            if point.startswith(f"{self.root}/"):
                run("umount", "-l", point, check=False)
        run("ip", "netns", "del", self.name, check=False)
        if self._outside:
            run("nft", "delete", "table", "ip", self.name.replace("-", "_"), check=False)
            if self._forwarding:
                Path("/proc/sys/net/ipv4/ip_forward").write_text(self._forwarding)

    # talking to it

    @property
    def api(self) -> Transport:
        return Transport(f"unix://{self.socket}")

    def inside(self, function: Callable[[], T]) -> T:
        """Run in the engine's network namespace: where its published ports are."""
        return in_netns(self.netns, function)

    def get(self, url: str, timeout: float = 5) -> bytes:
        """HTTP GET from the engine's namespace; ``http://ADDRESS[:PORT]/path``."""
        host, _, path = url.removeprefix("http://").partition("/")
        address, _, port = host.rpartition(":") if ":" in host else (host, "", "80")

        def fetch() -> bytes:
            with socket.create_connection((address.strip("[]"), int(port)), timeout) as sock:
                sock.sendall(f"GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                data = b""
                while part := sock.recv(65536):
                    data += part
            return data.partition(b"\r\n\r\n")[2]
        return self.inside(fetch)

    def cli(self, *arguments: str, check: bool = True, stdin: str | None = None,
            timeout: float = 120, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`solva ARGUMENTS` against this engine."""
        environment = {**os.environ, "SOLVA_HOST": f"unix://{self.socket}", **(env or {})}
        return run(sys.executable, "-m", "solva.cli", *arguments, check=check, input=stdin, timeout=timeout,
                   env=environment)

    def load_busybox(self, tag: str = "busybox:latest") -> None:
        body = docker_archive(tag, busybox_layer())
        with self.api.request("POST", "/images/load", body=body,
                              headers={"Content-Type": "application/x-tar"}) as answer:
            rows = list(answer.lines())
        assert any("Loaded image" in row.get("stream", "") for row in rows), rows


@contextmanager
def live_engine(root: Path, name: str, *, outside: bool = False, config: str = "") -> Iterator[LiveEngine]:
    """A running engine with busybox loaded; everything of it is gone afterwards."""
    engine = LiveEngine(root, name, outside, config)
    engine.make_netns()
    try:
        engine.start()
        engine.load_busybox()
        yield engine
    finally:
        engine.close()
