"""Every command and flag of Docker Compose 2.40 is here, or named as missing with a reason.

``compose_flags.json`` holds what its ``--help`` lists: command -> flag -> shorthand. Where a real Docker runs, the list
itself is compared with it.
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

from solva.cli.commands import compose
from solva.cli.flags import Command, HelpWanted, parse
from solva.cli.help import command_help
from support.peer import client_command

KNOWN: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("compose_flags.json").read_text())
MISSING = {
    "alpha generate": "refused: a compose file from running containers",
    "bridge": "refused: transformation images", "bridge convert": "refused with `bridge`",
    "bridge transformations": "refused with `bridge`", "bridge transformations create": "refused with `bridge`",
    "bridge transformations list": "refused with `bridge`",
}
ELSEWHERE = {"alpha viz": ("graph", "VIZ"), "alpha publish": ("publish", "publish")}


def command(name: str) -> Command:
    if name in ELSEWHERE:
        module, what = ELSEWHERE[name]
        found = importlib.import_module(f"solva.cli.commands.compose.{module}")
        return found.VIZ if what == "VIZ" else found.COMMANDS[what]
    module = importlib.import_module(f"solva.cli.commands.compose.{compose._MODULES.get(name, name)}")
    return module.COMMANDS[name]


@pytest.mark.parametrize("name", sorted(set(KNOWN) - set(MISSING)))
def test_every_flag_is_known_under_its_names(name: str) -> None:
    ours = {flag.name: flag.shorthand for flag in command(name).flags}
    assert {flag: ours.get(flag) for flag in KNOWN[name]} == KNOWN[name]


def test_every_command_is_listed_with_its_line() -> None:
    plain = {name for name in KNOWN if " " not in name}
    assert plain - set(compose.VERBS) == {"bridge"}
    for name, short in compose.VERBS.items():
        assert command(name).short == short
        assert command_help(command(name)).startswith(f"Usage:  solva compose {name}")
        with pytest.raises(HelpWanted):
            parse(command(name), ["--help"])


def test_the_list_is_what_dockers_compose_says(tmp_path: Path) -> None:
    import subprocess

    prefix = client_command()
    for name in ("up", "run", "ps", "watch"):
        done = subprocess.run([*prefix, "COLUMNS=200", "docker", "compose", name, "--help"], capture_output=True,
                              text=True, check=True)
        rows = done.stdout.partition("Options:")[2].splitlines()
        found = {match[2]: match[1] or "" for row in rows
                 if (match := re.match(r"\s+(?:-(\w), )?--([\w-]+)(?: \S+)?(?:  |$)", row))}
        assert found == KNOWN[name]


def test_the_pages_are_as_the_definitions_say() -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from tools.compose_docs import DOCS, pages

    made = pages()
    stale = [name for name, text in made.items() if not (DOCS / name).exists() or (DOCS / name).read_text() != text]
    assert stale == [], "python -m tools.compose_docs"
    assert {path.stem for path in (DOCS / "notes").glob("*.md")} == {"README", *compose.VERBS}
