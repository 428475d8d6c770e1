"""`config` of Solva and of a real Docker Compose beside it, over directories of compose projects.

A case is a directory: ``compose.yaml`` (or any name that Compose finds), what it refers to, and perhaps ``args`` (one
``config`` command line a row; without it ``--format json``) and ``env`` (``KEY=VALUE`` rows for the process).

    python tests/conformance/compose_peer.py DIRECTORY [-v] [--only TEXT]

prints each case on which the two differ. The real one's answers are kept in ``DIRECTORY/.answers.json``, keyed by
content, so only new cases start a process of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(os.environ.get("SOLVA_PEER_ROOT", "/var/cache/solva/peer"))
BINARY = ROOT / "usr/libexec/docker/cli-plugins/docker-compose"
ENVIRONMENT = {"HOME": "/root", "PATH": "/usr/bin:/bin"}
SKIPPED = frozenset(("args", "env"))


class Answer(NamedTuple):
    """What one of the two said."""

    status: int
    out: str
    error: str


class Case(NamedTuple):
    """A directory and one command line in it."""

    directory: Path
    line: str

    @property
    def name(self) -> str:
        return f"{self.directory.name} {self.line}"

    def environment(self) -> dict[str, str]:
        values = {**ENVIRONMENT, "PWD": str(self.directory)}
        with contextlib.suppress(FileNotFoundError):
            for row in (self.directory / "env").read_text().splitlines():
                key, _, value = row.partition("=")
                values[key] = value
        return values

    def words(self) -> list[str]:
        import shlex

        words = shlex.split(self.line)
        before = words[: words.index("--")] if "--" in words else []
        after = words[words.index("--") + 1:] if "--" in words else words
        return [*before, "config", *after]


def peer_command() -> list[str] | None:
    """How to start the real one outside its root, or None."""
    loader = ROOT / "lib64/ld-linux-x86-64.so.2"
    if not BINARY.exists() or not loader.exists():
        return None
    libraries = f"{ROOT}/lib/x86_64-linux-gnu:{ROOT}/usr/lib/x86_64-linux-gnu"
    return [str(loader), "--library-path", libraries, str(BINARY)]


def cases(root: Path) -> list[Case]:
    """All of a directory of projects."""
    found = []
    for directory in sorted(item for item in root.iterdir() if item.is_dir()):
        lines = ["--format json"]
        with contextlib.suppress(FileNotFoundError):
            lines = [row for row in (directory / "args").read_text().splitlines() if row.strip()]
        found += [Case(directory, line) for line in lines]
    return found


def ask_peer(case: Case) -> Answer:
    command = peer_command()
    assert command is not None
    done = subprocess.run([*command, *case.words()], cwd=case.directory, env=case.environment(), text=True,
                          capture_output=True, check=False, errors="surrogateescape", stdin=subprocess.DEVNULL)
    return Answer(done.returncode, done.stdout, done.stderr)


def ask_solva(case: Case) -> Answer:
    """In this process: a start a case would cost more than the work."""
    from solva.cli.commands.compose import main

    out, error = io.StringIO(), io.StringIO()
    saved, here = dict(os.environ), os.getcwd()
    os.environ.clear()
    os.environ.update(case.environment())
    os.chdir(case.directory)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            status = main(case.words(), _no_engine)
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(saved)
    return Answer(status, out.getvalue(), error.getvalue())


def _no_engine() -> Any:
    raise AssertionError("config needs no engine")


def digest(case: Case) -> str:
    content = hashlib.sha256(f"{case.directory}\0{case.line}\0".encode())
    for file in sorted(item for item in case.directory.rglob("*") if item.is_file()):
        content.update(f"{file.relative_to(case.directory)}\0".encode() + file.read_bytes())
    return content.hexdigest()


def answers(chosen: list[Case], store: Path) -> dict[Case, Answer]:
    """The real one's, kept ones reused."""
    kept: dict[str, list[Any]] = json.loads(store.read_text()) if store.exists() else {}
    keys = {case: digest(case) for case in chosen}
    missing = [case for case in chosen if keys[case] not in kept]
    with ThreadPoolExecutor(2) as pool:
        for case, answer in zip(missing, pool.map(ask_peer, missing), strict=True):
            kept[keys[case]] = list(answer)
    if missing:
        store.write_text(json.dumps(kept))
    return {case: Answer(*kept[keys[case]]) for case in chosen}


def difference(case: Case, theirs: Answer, ours: Answer) -> str:
    """"" when the two agree, else what differs."""
    if (theirs.status == 0) != (ours.status == 0):
        verdict = "refused here only" if theirs.status == 0 else "accepted here only"
        return f"{verdict}\n   peer: {theirs.error.strip()[-600:]}\n   ours: {ours.error.strip()[-600:]}"
    if theirs.status:
        return "no message" if not ours.error.strip() or "Traceback" in ours.error else ""
    if "json" in case.line:
        with contextlib.suppress(ValueError):
            return compare(json.loads(theirs.out), json.loads(ours.out))
    # services too: Docker Compose goes through them side by side, and now and then prints them in another order
    listed = ("--services", "--volumes", "--networks", "--images", "--variables", "--models")
    if any(word in case.line for word in listed):
        same = sorted(" ".join(row.split()) for row in theirs.out.splitlines()) == sorted(
            " ".join(row.split()) for row in ours.out.splitlines())
        return "" if same else f"lines differ\n{theirs.out}---\n{ours.out}"
    return "" if theirs.out == ours.out else "text differs\n" + _diff(theirs.out, ours.out)


def _diff(left: str, right: str) -> str:
    import difflib

    return "\n".join(list(difflib.unified_diff(left.splitlines(), right.splitlines(), "peer", "ours", lineterm="",
                                               n=1))[:24])


def compare(theirs: Any, ours: Any, path: str = "") -> str:
    """The first few places where two JSON values differ."""
    found: list[str] = []
    _compare(theirs, ours, path, found)
    return "\n".join(found[:6])


def _compare(theirs: Any, ours: Any, path: str, found: list[str]) -> None:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            if key not in ours or key not in theirs:
                side = f"peer has {theirs[key]!r}" if key in theirs else f"ours has {ours[key]!r}"
                found.append(f"   {path}.{key}: only {side}")
            else:
                _compare(theirs[key], ours[key], f"{path}.{key}", found)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (left, right) in enumerate(zip(theirs, ours, strict=True)):
            _compare(left, right, f"{path}[{index}]", found)
    elif theirs != ours or type(theirs) is not type(ours):
        found.append(f"   {path}: peer {theirs!r} ours {ours!r}")


def run(root: Path, only: str = "") -> list[tuple[Case, str, Answer, Answer]]:
    """Every case of ``root`` that differs."""
    chosen = [case for case in cases(root) if only in case.name]
    theirs = answers(chosen, root / ".answers.json")
    found = []
    for case in chosen:
        try:
            ours = ask_solva(case)
        except Exception as error:
            ours = Answer(70, "", f"Traceback {type(error).__name__}: {error}")
            found.append((case, f"traceback {type(error).__name__}: {error}", theirs[case], ours))
            continue
        text = difference(case, theirs[case], ours)
        if text:
            found.append((case, text, theirs[case], ours))
    return found


def main(argv: list[str]) -> int:
    only = argv[argv.index("--only") + 1] if "--only" in argv else ""
    root = Path(argv[0])
    found = run(root, only)
    for case, text, theirs, ours in found:
        print(f"## {case.name}\n{text}")
        if "-v" in argv:
            print(theirs.error, ours.error)
    print(f"{len(found)} of {len([case for case in cases(root) if only in case.name])} differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
