"""What the shells are told may come next; nothing is started and nothing fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from solva.cli.commands.system.completion import candidates, complete
from solva.cli.session import Session

FILE = "services:\n  web: {image: a}\n  worker: {image: b}\n  db: {image: c}\n"


@pytest.mark.parametrize(("words", "expected"), [
    (["pau"], ["pause"]),
    (["network", "cr"], ["create"]),
    (["run", "--net"], ["--network", "--network-alias"]),
    (["compose", "dow"], ["down"]),
    (["compose", "-f", "compose.yaml", "rest"], ["restart"]),
    (["compose", "--proj"], ["--project-directory", "--project-name"]),
    (["compose", "up", "--force"], ["--force-recreate"]),
    (["compose", "stop", "w"], ["web", "worker"]),
    (["compose", "-p", "x", "logs", "-f", ""], ["db", "web", "worker"]),
    (["compose", "-f", ""], []),
    (["compose", "nosuch", ""], []),
    (["completion", "z"], ["zsh"]),
])
def test_candidates(words: list[str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compose.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    try:
        found = candidates(Session(), words[:-1], words[-1])
    except LookupError:
        found = []
    assert found == expected


def test_a_broken_file_completes_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compose.yaml").write_text("services: [")
    monkeypatch.chdir(tmp_path)
    assert complete(Session(), ["compose", "up", ""]) == 0
    assert capsys.readouterr().out == ""
