"""A unix socket that answers as an engine would, just enough for a client's request to be recorded.

``python tests/fakes/recording_engine.py`` records what the real docker client sends for the command lines of
``tests/unit/cli/golden_create.json`` and rewrites that file.
"""

from __future__ import annotations

import json
import os
import shlex
import socketserver
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "unit" / "cli" / "golden_create.json"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    allow_reuse_address = True


class RecordingEngine:
    """Requests as (method, path, body) in ``requests``; use as a context manager. ``answers`` overrides by path end."""

    def __init__(self, answers: dict[str, tuple[int, Any]] | None = None) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.answers = answers or {}
        self._folder = tempfile.mkdtemp(prefix="recording-")
        self.endpoint = f"unix://{self._folder}/s"
        self._server = _Server(f"{self._folder}/s", self._handler())

    def __enter__(self) -> RecordingEngine:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        os.unlink(f"{self._folder}/s")
        os.rmdir(self._folder)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *args: Any) -> None:
                pass

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                data = self.rfile.read(length) if length else b""
                body = json.loads(data) if data.startswith(b"{") else data.decode(errors="replace")
                path = self.path.partition("?")[0]
                status, value = 200, {}
                if path.endswith("/containers/create"):
                    status, value = 201, {"Id": "c" * 64, "Warnings": []}
                elif path.endswith("/_ping"):
                    value = "OK"
                for end, given in owner.answers.items():
                    if path.endswith(end):
                        status, value = given
                if not path.endswith("/_ping"):
                    owner.requests.append((self.command, self.path, body))
                payload = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Api-Version", "1.51")
                self.send_header("Ostype", "linux")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(payload)

            do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = answer

        return Handler


def without_empty(value: Any) -> Any:
    """``value`` without what says nothing: null, zero, empty; so that bodies of two clients can be compared."""
    if isinstance(value, dict):
        cleaned = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, "", 0, False, [], {}, [0, 0])}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value


def comparable(body: dict[str, Any]) -> dict[str, Any]:
    """A create request for comparing: no empty values; the environment in order of names, since Docker's client has
    it in a map's."""
    cleaned: dict[str, Any] = without_empty(body)
    if "Env" in cleaned:
        cleaned["Env"].sort()
    return cleaned


def record(command: list[str], *, environment: dict[str, str] | None = None) -> Any:
    """The body of POST /containers/create that ``command`` sends."""
    with RecordingEngine() as engine, tempfile.TemporaryDirectory() as config:
        env = {**os.environ, "DOCKER_HOST": engine.endpoint, "DOCKER_CONFIG": config, "PRESET": "from-here",
               **(environment or {})}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=False)
        bodies = [body for method, path, body in engine.requests if path.partition("?")[0].endswith("/create")]
    if not bodies:
        raise AssertionError(f"{shlex.join(command)} sent nothing: {done.stderr}")
    return comparable(bodies[0])


def main() -> None:
    """Rewrite the golden file by the real client."""
    cases = json.loads(GOLDEN.read_text())
    for case in cases:
        case["body"] = record(["docker", "create", *shlex.split(case["line"])])
    GOLDEN.write_text(json.dumps(cases, indent=1, sort_keys=True) + "\n")
    print(f"{len(cases)} command lines recorded", file=sys.stderr)


if __name__ == "__main__":
    main()
