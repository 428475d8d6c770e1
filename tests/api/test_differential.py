"""The same requests to Solva and to Docker: status, message and shape of the answer.

Docker's side is written down (differential/*.json, recorded from Docker 28.5), so it need not be here; where one is,
SOLVA_RECORD=1 records it anew.
What may differ is in differential/accepted.txt, each line with its reason.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from support.engine import LiveEngine
from support.transcript import Answer, differences, plain, run

pytestmark = pytest.mark.root
HERE = Path(__file__).with_name("differential")
SCRIPTS = sorted(path.stem for path in HERE.glob("*.txt") if path.stem != "accepted")
PREFIX = "apidiff"


def rules() -> list[tuple[re.Pattern[str], re.Pattern[str]]]:
    found = []
    for row in (HERE / "accepted.txt").read_text().splitlines():
        if row and not row.startswith("#"):
            request, difference, reason = row.rsplit(" | ", 2) if row.count(" | ") == 2 else _split(row)
            assert reason
            found.append((re.compile(request), re.compile(difference)))
    return found


def _split(row: str) -> list[str]:
    """A row whose middle part has `` | `` in it."""
    first, rest = row.split(" | ", 1)
    middle, last = rest.rsplit(" | ", 1)
    return [first, middle, last]


def written(answers: list[Answer]) -> list[dict[str, Any]]:
    return [{"request": answer.request, "status": answer.status, "kind": answer.kind,
             "body": plain(answer.body, PREFIX)} for answer in answers]


def clear(endpoint: str) -> None:
    rows = run(endpoint, f'GET /containers/json?all=1&filters={{"name":["{PREFIX}"]}}', PREFIX)[0].body
    for row in rows or []:
        run(endpoint, f"DELETE /containers/{row['Id']}?force=1&v=1", PREFIX)
    for row in run(endpoint, f'GET /networks?filters={{"name":["{PREFIX}"]}}', PREFIX)[0].body or []:
        run(endpoint, f"DELETE /networks/{row['Id']}", PREFIX)


def compare(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[str]:
    allowed = rules()
    assert [row["request"] for row in mine] == [row["request"] for row in theirs], "record anew: SOLVA_RECORD=1"
    found = []
    for ours, other in zip(mine, theirs, strict=True):
        rows = [f"{key} {other[key]} | {ours[key]}" for key in ("status", "kind") if ours[key] != other[key]]
        rows += differences(ours["body"], other["body"])
        request = ours["request"]
        left = [row for row in rows
                if not any(a.search(request) and b.search(row) for a, b in allowed)]
        # an accepted other status has another body
        if left and any(row.startswith("status ") for row in rows) and not any(
                row.startswith("status ") for row in left):
            left = [row for row in left if ".message" in row and "absent" not in row]
        found += [f"{request[:160]}\n    {row[:300]}" for row in left]
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_answers_as_docker(engine: LiveEngine, name: str) -> None:
    endpoint = f"unix://{engine.socket}"
    golden = HERE / f"{name}.json"
    try:
        mine = written(run(endpoint, (HERE / f"{name}.txt").read_text(), PREFIX))
    finally:
        clear(endpoint)
    problems = compare(mine, json.loads(golden.read_text()))
    assert not problems, "Docker | Solva\n" + "\n".join(problems)


@pytest.mark.peer
@pytest.mark.parametrize("name", SCRIPTS)
def test_record_dockers_answers(peer_socket: str, name: str) -> None:
    """Writes down what Docker says. Not in every run: it needs an image ``busybox`` there, made as the engine's."""
    if not os.environ.get("SOLVA_RECORD"):
        pytest.skip("recording is asked for by SOLVA_RECORD=1")
    try:
        answers = written(run(peer_socket, (HERE / f"{name}.txt").read_text(), PREFIX))
    finally:
        clear(peer_socket)
    (HERE / f"{name}.json").write_text(json.dumps(answers, indent=1) + "\n")
