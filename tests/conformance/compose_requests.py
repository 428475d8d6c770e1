"""What `compose create` asks an engine for: Solva's Compose and Docker's against an engine that says yes to all.

    python tests/conformance/compose_requests.py [--only TEXT]

makes every service of ``compose_values.json`` that Docker Compose accepts, by both, and prints where the bodies of
``POST /containers/create``, ``/networks/create`` and ``/volumes/create`` differ.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import compose_cases
import compose_peer

IMAGE = {"Id": "sha256:" + "1" * 64, "RepoTags": ["x:latest"], "Config": {"Env": [], "Volumes": None}, "Os": "linux",
         "Architecture": "amd64", "RootFS": {"Type": "layers", "Layers": []}, "Created": "2024-01-01T00:00:00Z"}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class YesEngine:
    """An engine with every image and nothing else, that makes whatever it is asked for.

    ``made``: (kind, name, body) of each.
    """

    def __init__(self) -> None:
        self.made: list[tuple[str, str, Any]] = []
        self.folder = tempfile.mkdtemp(prefix="yes-")
        self.path = f"{self.folder}/s"
        self.server = _Server(self.path, self._handler())

    def __enter__(self) -> YesEngine:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder)

    def answer(self, method: str, path: str, query: str, body: Any) -> tuple[int, Any]:
        path = re.sub(r"^/v[\d.]+", "", path)
        if path == "/_ping":
            return 200, "OK"
        if path == "/version":
            return 200, {"ApiVersion": "1.51", "Version": "28.5.0", "MinAPIVersion": "1.24", "Os": "linux"}
        if path == "/info":
            return 200, {"ServerVersion": "28.5.0", "OSType": "linux", "Architecture": "x86_64"}
        made = re.match(r"/(containers|networks|volumes)/create", path)
        if method == "POST" and made:
            name = body.get("Name") or re.sub(r".*name=([^&]*).*", r"\1", query)
            self.made.append((made[1], name, body))
            return 201, {"Id": name.ljust(64, "0"), "Name": name, "Warnings": []}
        if path.startswith("/images/") and path.endswith("/json") and path != "/images/json":
            return 200, IMAGE
        if path == "/images/json":
            return 200, [{**IMAGE, "RepoTags": [f"{name}:latest" for name in ("x", "y", "proj-a", "proj-b")],
                          "RepoDigests": [], "Size": 1, "Created": 1, "Labels": {}}]
        if path in ("/containers/json", "/networks"):
            return 200, []
        if path == "/volumes":
            return 200, {"Volumes": [], "Warnings": []}
        if path.startswith("/volumes/") and method == "GET":
            return self._known("volumes", path.split("/")[2])
        if path.startswith("/networks/") and method == "GET":
            return self._known("networks", path.split("/")[2])
        if re.match(r"/containers/[^/]+/json", path):
            return self._known("containers", path.split("/")[2])
        return 200, {}

    def _known(self, kind: str, name: str) -> tuple[int, Any]:
        for there, own, body in self.made:
            if there == kind and name.rstrip("0").startswith(own.rstrip("0")):
                labels = body.get("Labels") or {}
                return 200, {"Name": own if kind != "containers" else f"/{own}", "Id": own.ljust(64, "0"),
                             "Driver": "x", "Labels": labels, "Config": {"Labels": labels, "Image": "x"},
                             "Image": IMAGE["Id"],
                             "State": {"Status": "created"}, "NetworkSettings": {"Networks": {}}, "HostConfig": {},
                             "Mounts": []}
        return 404, {"message": f"No such {kind[:-1]}: {name}"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *args: Any) -> None:
                pass

            def respond(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    data = self._chunks()
                body = json.loads(data) if data.startswith(b"{") else {}
                path, _, query = self.path.partition("?")
                status, value = owner.answer(self.command, path, query, body)
                payload = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Api-Version", "1.51")
                self.send_header("Ostype", "linux")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(payload)

            def _chunks(self) -> bytes:
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data

            do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = respond

        return Handler


def by_peer(directory: Path) -> tuple[list[Any], str]:
    """What Docker Compose makes, or its refusal."""
    command = compose_peer.peer_command()
    assert command is not None
    with YesEngine() as engine:
        env = {**compose_peer.ENVIRONMENT, "DOCKER_HOST": f"unix://{engine.path}"}
        done = subprocess.run([*command, "-p", "proj", "--profile", "*", "create", "--no-build"], cwd=directory,
                              env=env, capture_output=True, text=True, check=False, timeout=60)
        return engine.made, done.stderr if done.returncode else ""


def by_solva(directory: Path) -> tuple[list[Any], str]:
    """What Solva's makes, or its refusal."""
    from solva.cli.commands.compose import main
    from solva.client.transport import Transport

    with YesEngine() as engine:
        saved, here = dict(os.environ), os.getcwd()
        os.environ.clear()
        os.environ.update(compose_peer.ENVIRONMENT)
        os.chdir(directory)
        error = io.StringIO()
        try:
            with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
                status = main(["-p", "proj", "--profile", "*", "create", "--no-build"],
                              lambda: Transport(f"unix://{engine.path}"))
        except Exception as failure:
            return engine.made, f"Traceback {type(failure).__name__}: {failure}"
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(saved)
        return engine.made, error.getvalue() if status else ""


def plain(value: Any) -> Any:
    """Without what says nothing; sets of lists in order."""
    if isinstance(value, dict):
        cleaned = {key: plain(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, "", 0, False, [], {}, [0, 0])}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


_ID = re.compile(r"(proj-b-1)0{20,}")      # a container by its id, where Solva has its name
_UNORDERED = ("Env", "ExtraHosts", "Binds", "Ulimits", "Mounts")


def comparable(made: list[Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for kind, name, body in made:
        clean = json.loads(_ID.sub(r"\1", json.dumps(plain(body))))
        for part in (clean, clean.get("HostConfig", {})):
            for key in _UNORDERED:
                if key in part:
                    part[key] = sorted(part[key], key=json.dumps)
        if kind in ("networks", "volumes"):
            clean.setdefault("Driver", "bridge" if kind == "networks" else "local")     # an engine's defaults
            ipam = clean.get("IPAM", {})
            ipam.pop("Options", None)       # of the specification; Docker Compose 2.40 leaves it out
            if ipam.get("Driver") == "default":
                del ipam["Driver"]
            if not ipam:
                clean.pop("IPAM", None)
        for device in clean.get("HostConfig", {}).get("Devices", ()):
            device.setdefault("CgroupPermissions", "rwm")
        for endpoint in clean.get("NetworkingConfig", {}).get("EndpointsConfig", {}).values():
            for key in ("IPAddress", "IPv6Gateway", "Links"):     # answers, no questions; links are in HostConfig
                endpoint.pop(key, None)
        if "Labels" in clean:
            clean["Labels"] = {key: value for key, value in clean["Labels"].items() if not key.startswith("solva.")}
        label = "com.docker.compose.depends_on"
        if label in clean.get("Labels", {}):
            clean["Labels"][label] = ",".join(sorted(clean["Labels"][label].split(",")))
        result[f"{kind} {name}"] = clean
    return result


def difference(theirs_made: tuple[list[Any], str], ours_made: tuple[list[Any], str]) -> str:
    """"" when both ask for the same, or both refuse."""
    theirs, refusal = theirs_made
    ours, own = ours_made
    if bool(refusal) != bool(own) or "Traceback" in own:
        return f"   peer: {refusal.strip()[-300:]}\n   ours: {own.strip()[-300:]}"
    return "" if refusal else compose_peer.compare(comparable(theirs), comparable(ours))


def main(argv: list[str]) -> int:
    only = argv[argv.index("--only") + 1] if "--only" in argv else ""
    root = Path(tempfile.mkdtemp(prefix="compose-requests-"))
    out = compose_cases.Writer(root)
    compose_cases.write_services(out)
    differing = total = 0
    chosen = [directory for directory in sorted(root.iterdir()) if only in directory.name]
    with ThreadPoolExecutor(2) as pool:
        peers = list(pool.map(by_peer, chosen))
    for directory, theirs in zip(chosen, peers, strict=True):
        total += 1
        text = difference(theirs, by_solva(directory))
        if text:
            differing += 1
            service = json.loads((directory / "compose.yaml").read_text())["services"]["a"]
            print(f"## {directory.name} {json.dumps({key: service[key] for key in service if key != 'image'})}\n{text}")
    shutil.rmtree(root)
    print(f"{differing} of {total} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
