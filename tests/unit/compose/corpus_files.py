"""The corpus: small compose projects, and where Docker Compose's answers to them are kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

HERE = Path(__file__).parent / "corpus"
ENVIRONMENT = {"HOME": "/root", "PATH": "/usr/bin:/bin"}


def cases() -> dict[str, dict[str, str]]:
    """Case -> file name -> text."""
    result: dict[str, dict[str, str]] = {}
    name = file = ""
    for line in (HERE / "cases.txt").read_text().splitlines(keepends=True):
        if line.startswith("=== "):
            name, file = line[4:].strip(), ""
            result[name] = {}
        elif line.startswith("--- "):
            file = line[4:].strip()
            result[name][file] = ""
        else:
            result[name][file] += line
    return result


def write(files: dict[str, str], directory: Path) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def golden(name: str) -> dict[str, str]:
    """What Docker Compose 2.40.3 says: ``json``, ``yaml``, ``hash`` with ``@DIR@`` for the directory."""
    data: dict[str, dict[str, str]] = json.loads((HERE / "golden.json").read_text())
    return data[name]


def record(command: list[str], root: Path) -> None:
    """Ask the real one (``command`` is its command line) and write ``golden.json``."""
    import subprocess

    found = {}
    for name, files in cases().items():
        directory = root / name
        write(files, directory)
        answers = {}
        for key, arguments in (("json", ["config", "--format", "json"]), ("yaml", ["config"]),
                               ("hash", ["config", "--hash", "*"])):
            done = subprocess.run([*command, "-p", "proj", *arguments] if name != "misc" else [*command, *arguments],
                                  cwd=directory, capture_output=True, text=True, check=False,
                                  env={**os.environ, "HOME": "/root"})
            answers[key] = (done.stdout or "ERROR " + done.stderr).replace(str(directory), "@DIR@")
        found[name] = answers
    (HERE / "golden.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
