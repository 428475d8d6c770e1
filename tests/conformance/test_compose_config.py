"""`config` and `create` of Solva's Compose and of a real one, on made-up projects; skipped where there is none."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import compose_cases
import compose_peer
import compose_requests

pytestmark = pytest.mark.skipif(compose_peer.peer_command() is None,
                                reason=f"no Docker Compose at {compose_peer.BINARY} (tools/peer-docker.sh start)")
# Where Docker Compose crashes, or contradicts itself: see docs/compose/compatibility.md.
KNOWN = ("'pid': None", "label_file", "'volumes_from': ['b:ro']", "'external'", "NOPE", "'links'", "provider")
SHARE = 300     # of the some 5000; `python tests/conformance/compose_peer.py DIRECTORY` does all


def test_config_agrees(tmp_path: Path) -> None:
    compose_cases.write(tmp_path)
    chosen = sorted(tmp_path.iterdir())
    kept = set(random.Random(40).sample(chosen, SHARE))
    cases = [case for case in compose_peer.cases(tmp_path) if case.directory in kept]
    theirs = compose_peer.answers(cases, tmp_path / ".answers.json")
    found = {case.name: compose_peer.difference(case, theirs[case], compose_peer.ask_solva(case)) for case in cases
             if not known((case.directory / "compose.yaml").read_text())}
    assert {name: text for name, text in found.items() if text} == {}


def known(text: str) -> bool:
    return '"pid": null' in text or '"label_file"' in text


def test_create_asks_for_the_same(tmp_path: Path) -> None:
    out = compose_cases.Writer(tmp_path)
    for value in compose_cases.VALUES["engine"]:
        out.case("engine", compose_cases.project(value))
    found = {}
    for directory in sorted(tmp_path.iterdir()):
        service = json.loads((directory / "compose.yaml").read_text())["services"]["a"]
        if not any(word in str(service) for word in KNOWN):
            theirs, ours = compose_requests.by_peer(directory), compose_requests.by_solva(directory)
            found[str(service)] = compose_requests.difference(theirs, ours)
    assert {name: text for name, text in found.items() if text} == {}
