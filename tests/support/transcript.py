"""Scripts of API requests, run against any engine and written down so that two engines can be compared.

A script is lines of ``METHOD PATH [JSON]``; ``$name`` in it stands for a prefix of the run's own, ``$each`` for one of
the line's own, so that nothing clashes on an engine that is shared. What differs from run to run (ids, times,
addresses, sizes) is made equal in the transcript.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_SAME = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:<digest>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short id>"),
    (re.compile(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"\b(10|172|192)(\.\d{1,3}){3}\b"), "<address>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b(Up|Exited \(\d+\)) .*"), r"\1 <while>"),
)
_ZERO = "0001-01-01T00:00:00Z"


class UnixHttp(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("d", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class Answer:
    """``body``: decoded JSON, a list for a stream of it, text for anything else."""

    request: str
    status: int
    kind: str
    body: Any


def run(endpoint: str, script: str, prefix: str) -> list[Answer]:
    """Answers of a script's requests, one after the other."""
    answers = []
    for number, line in enumerate(script.strip().splitlines()):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        method, path, *rest = line.strip().replace("$each", f"{prefix}{number}").replace("$", prefix).split(" ", 2)
        connection = UnixHttp(endpoint.removeprefix("unix://"))
        try:
            body = rest[0] if rest else None
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, quote(path, safe="/?&=%:,"), body=body, headers=headers)
            got = connection.getresponse()
            data = got.read()
            answers.append(Answer(line.strip(), got.status, (got.getheader("Content-Type") or "").partition(";")[0],
                                  decoded(data)))
        finally:
            connection.close()
    return answers


def decoded(data: bytes) -> Any:
    """What a body says."""
    if not data.strip():
        return None
    try:
        return json.loads(data)
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in data.splitlines() if line.strip()]
    except ValueError:
        return data.decode("latin-1")


def plain(value: Any, prefix: str) -> Any:
    """``value`` with what differs from run to run made equal. Numbers of more than four digits are sizes and times."""
    if isinstance(value, dict):
        return {plain(key, prefix): "<number>" if key == "Pid" and item
                # another test may have given the image a name
                else "<time or never>" if key == "LastTagTime" else plain(item, prefix)
                for key, item in value.items()}
    if isinstance(value, list):
        rows = [plain(item, prefix) for item in value]
        if rows and isinstance(rows[0], dict) and "Destination" in rows[0]:
            rows.sort(key=lambda row: row["Destination"])       # a map's order on Docker
        if rows and isinstance(rows[0], dict) and rows[0].keys() == {"Path", "Kind"}:
            rows.sort(key=lambda row: row["Path"])
        return rows
    if isinstance(value, str):
        if value == _ZERO:
            return "<never>"
        text = value.replace(prefix, "$")
        for pattern, name in _SAME:
            text = pattern.sub(name, text)
        return text
    if isinstance(value, bool) or value is None:
        return value
    return "<number>" if abs(value) > 9999 else value


def differences(mine: Any, theirs: Any, place: str = "") -> list[str]:
    """Where two transcripts differ, as ``place: theirs | mine``."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        found = []
        for key in sorted(mine.keys() | theirs.keys(), key=str):
            here = f"{place}.{key}"
            if key not in mine:
                found.append(f"{here}: {json.dumps(theirs[key])[:200]} | absent")
            elif key not in theirs:
                found.append(f"{here}: absent | {json.dumps(mine[key])[:200]}")
            else:
                found += differences(mine[key], theirs[key], here)
        return found
    if not mine and not theirs and (mine is None or theirs is None):
        return []       # null for an empty list or object: Go's clients see no difference
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        return [item for index, pair in enumerate(zip(mine, theirs, strict=True))
                for item in differences(*pair, f"{place}[{index}]")]
    return [] if mine == theirs else [f"{place}: {json.dumps(theirs)[:300]} | {json.dumps(mine)[:300]}"]
