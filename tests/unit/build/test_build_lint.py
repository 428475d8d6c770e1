"""Warnings about Dockerfiles: the same as BuildKit's for files that Docker 28.5 was asked about, and the settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from solva.build.dockerfile.ast import DockerfileError
from solva.build.dockerfile.parser import parse
from solva.build.ignore import Ignore
from solva.build.lint.check import Report, check

FOLDER = Path(__file__).parent / "lint"
RECORDED = json.loads((FOLDER / "docker-28.5.json").read_text())
# Docker stops at line 23 of this file, an error of the build; its suggestion there is a name of another length.
LATER = {"a": {"Usage of undefined variable '$VV' (did you mean $A?)", "Usage of undefined variable '$VV'",
               "Usage of undefined variable '$SS'"}}


def run(text: str, **arguments: str | None) -> Report:
    return check(parse(text), text, arguments=arguments, base_env={"PATH": "/bin"},
                 ignore=Ignore(["ignored.txt"]))


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_the_same_as_docker(name: str) -> None:
    report = run((FOLDER / f"{name}.Dockerfile").read_text())
    later = LATER.get(name, set())
    mine = sorted([found.line, found.rule.name, found.detail, found.rule.url] for found in report.warnings
                  if found.detail not in later)
    assert mine == [row for row in RECORDED[name] if row[2] not in later]


def test_settings() -> None:
    text = "FROM busybox AS Base\nMAINTAINER x\nCMD y\n"
    assert {found.rule.name for found in run(text).warnings} == {"StageNameCasing", "MaintainerDeprecated",
                                                                 "JSONArgsRecommended"}
    skipped = run("# check=skip=StageNameCasing,JSONArgsRecommended;error=true\n" + text)
    assert skipped.fatal == ("MaintainerDeprecated",)
    assert run("# check=skip=all;error=true\n" + text).fatal == ()
    assert run(text, BUILDKIT_DOCKERFILE_CHECK="skip=all").warnings == ()
    for wrong in ("bogus", "level=1", "error=maybe"):
        with pytest.raises(DockerfileError):
            run(f"# check={wrong}\n" + text)


def test_stages_take_over_what_stands_in_their_base() -> None:
    text = "FROM busybox AS a\nWORKDIR /x\nENV SEEN=1\nARG gone=1\nFROM a\nWORKDIR y\nENV B=$SEEN C=$gone\n"
    assert [found.detail for found in run(text).warnings] == ["Usage of undefined variable '$gone'"]


def test_a_shell_of_its_own_and_public_keys() -> None:
    text = 'FROM busybox\nSHELL ["/bin/x"]\nCMD y\nENV PUBLIC_KEY=1 KEYBOARD=2 monkey=3\nARG MY_TOKEN\n'
    assert [found.detail for found in run(text).warnings] == [
        'Do not use ARG or ENV instructions for sensitive data (ARG "MY_TOKEN")']
