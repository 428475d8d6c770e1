"""`config --explain VAR` tells value, place, what is shadowed, who uses it, and what env_file does not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from solva.cli.commands.compose import main

FILE = """services:
  web:
    image: "img:${TAG:-latest}"
    env_file: web.env
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yaml").write_text(FILE)
    (tmp_path / "web.env").write_text("# of the container\nTAG=9\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAG", raising=False)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "config", "--explain", "TAG"], lambda: pytest.fail("no engine is needed")) == 0
    return capsys.readouterr().out


def test_value_of_the_env_file_with_its_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".env").write_text("A=1\n\nTAG=1.0\n")
    text = said(capsys)
    assert text.startswith(f"TAG=1.0\n  from    {project}/.env:3\n")
    assert f"used    {project}/compose.yaml:3:5  services.web.image: img:${{TAG:-latest}} -> img:1.0" in text


def test_the_shell_shadows_the_env_file(project: Path, capsys: pytest.CaptureFixture[str],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("TAG=1.0\n")
    monkeypatch.setenv("TAG", "2")
    text = said(capsys)
    assert text.startswith("TAG=2\n  from    the environment of this command\n")
    assert f"shadows {project}/.env:1  TAG=1.0" in text


def test_later_env_files_win(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "one.env").write_text("TAG=1\n")
    (project / "two.env").write_text("TAG=2\n")
    text = said(capsys, "--env-file", "one.env", "--env-file", "two.env")
    assert text.startswith(f"TAG=2\n  from    {project}/two.env:1\n  shadows {project}/one.env:1  TAG=1\n")


def test_a_service_s_env_file_is_not_used_for_interpolation(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    assert text.startswith("TAG is not set\n")
    assert "-> img:latest" in text
    assert f"{project}/web.env:2 sets TAG=9 for service web" in text
    assert "env_file is not used for interpolation" in text


def test_a_file_that_fails_is_explained_all_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "compose.yaml").write_text(FILE.replace(":-latest", ":?give a tag"))
    text = said(capsys)
    assert "required variable TAG is missing a value: give a tag" in text
