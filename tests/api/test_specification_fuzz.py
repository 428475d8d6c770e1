"""The specification's own requests, right and wrong, against a live engine: no 500, no hang, nothing left behind.

Always the same requests (a seed); SOLVA_FUZZ_SEED and SOLVA_FUZZ_ROUNDS ask for others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.engine import LiveEngine, live_engine, missing
from support.specification import Operation, Specification
from support.transcript import UnixHttp, run

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
SEED = int(os.environ.get("SOLVA_FUZZ_SEED", "51"))
ROUNDS = int(os.environ.get("SOLVA_FUZZ_ROUNDS", "12"))
BUDGET = 75.0       # seconds; what has not been asked by then is left out
# these ask the world outside, which is not there; Docker says 500 then, too
OUTSIDE = {"ImageCreate", "ImagePush", "ImageSearch", "SystemAuth", "DistributionInspect", "ImageBuild"}
STREAMS = {"SystemEvents", "ContainerLogs", "ContainerStats", "ContainerAttach", "ContainerAttachWebsocket",
           "ContainerWait", "ExecStart", "Session"}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    reason = missing()
    if reason:
        pytest.skip(f"no engine can run here: {reason}")
    with live_engine(tmp_path_factory.mktemp("fuzz"), f"solva-f-{os.getpid()}") as live:
        yield live


def ask(engine: LiveEngine, operation: Operation, path: str, body: bytes | None) -> tuple[int, bytes]:
    """Status and (the beginning of) the body. A hang is a time-out: an error."""
    connection = UnixHttp(str(engine.socket))
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(operation.method, f"/v1.51{path}", body=body, headers=headers)
        answer = connection.getresponse()
        if operation.name in STREAMS:
            return answer.status, b""
        return answer.status, answer.read()
    finally:
        connection.close()


def objects(engine: LiveEngine) -> dict[str, list[str]]:
    """Something of each kind to work on; made anew where a request has removed it."""
    run(f"unix://{engine.socket}", """
        POST /containers/create?name=fuzz-kept {"Image": "busybox", "Cmd": ["sleep", "3600"], "StopTimeout": 0}
        POST /containers/fuzz-kept/start
        POST /containers/create?name=fuzz-idle {"Image": "busybox", "Cmd": ["true"]}
        POST /networks/create {"Name": "fuzz-net"}
        POST /volumes/create {"Name": "fuzz-vol"}
    """, "")
    made = run(f"unix://{engine.socket}", 'POST /containers/fuzz-kept/exec {"Cmd": ["true"]}', "")[0]
    return {"containers": ["fuzz-kept", "fuzz-idle"], "networks": ["fuzz-net", "bridge", "none"],
            "volumes": ["fuzz-vol"], "images": ["busybox"], "distribution": ["busybox"],
            "exec": [made.body["Id"]] if made.status == 201 else []}


def clear(engine: LiveEngine) -> None:
    endpoint = f"unix://{engine.socket}"
    for row in run(endpoint, "GET /containers/json?all=1", "")[0].body:
        run(endpoint, f"DELETE /containers/{row['Id']}?force=1&v=1", "")
    for row in run(endpoint, "GET /networks", "")[0].body:
        if row["Name"] not in ("bridge", "host", "none"):
            run(endpoint, f"DELETE /networks/{row['Id']}", "")
    run(endpoint, 'POST /volumes/prune?filters={"all":["1"]}', "")


def descriptors(engine: LiveEngine) -> int:
    assert engine.process is not None
    children = Path(f"/proc/{engine.process.pid}/task/{engine.process.pid}/children").read_text().split()
    pid = engine.process.pid if "nsenter" not in Path(f"/proc/{engine.process.pid}/comm").read_text() else children[0]
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_no_request_of_the_specification_breaks_the_engine(fuzzed: LiveEngine) -> None:
    specification = Specification(SEED)
    clear(fuzzed)
    objects(fuzzed)
    clear(fuzzed)
    before = descriptors(fuzzed)
    problems: list[str] = []
    asked = 0
    deadline = time.monotonic() + BUDGET
    for _ in range(ROUNDS):
        names = objects(fuzzed)
        for operation in specification.operations:
            if time.monotonic() > deadline:
                break
            path, body = specification.request(operation, names)
            asked += 1
            shown = f"{operation.method} {path[:200]} {(body or b'')[:400]!r}"
            try:
                status, answer = ask(fuzzed, operation, path, body)
            except Exception as error:
                problems.append(f"{shown}: {error!r}")
                continue
            if status >= 500 and status not in (501, 503) and operation.name not in OUTSIDE:
                problems.append(f"{shown}: {status} {answer[:300]!r}")
    assert fuzzed.api.json("GET", "/version")["ApiVersion"] == "1.51"
    clear(fuzzed)
    assert not problems, f"{len(problems)} of {asked} requests:\n" + "\n".join(problems)
    tracebacks = [row for row in fuzzed.log.read_text().splitlines() if row.startswith(("Traceback", "Task exception"))]
    assert not tracebacks, fuzzed.log.read_text()[-3000:]
    assert asked >= len(specification.operations), "not one round was done in time"
    _nothing_left(fuzzed, before)


def _nothing_left(engine: LiveEngine, before: int) -> None:
    deadline = time.monotonic() + 60
    while descriptors(engine) > before + 2:
        assert time.monotonic() < deadline, f"{descriptors(engine)} descriptors, {before} before"
        time.sleep(0.05)
    answers: list[Any] = [run(f"unix://{engine.socket}", line, "")[0].body
                          for line in ("GET /containers/json?all=1", "GET /networks")]
    assert answers[0] == []
    assert len(answers[1]) == 3
    held = [row for row in Path("/proc/mounts").read_text().splitlines()
            if f"{engine.root}/data/snapshots/active" in row]
    assert not held, held
