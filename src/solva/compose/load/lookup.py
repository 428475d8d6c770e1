"""Which files make up the project, where it lives, what it is called, and the environment they are read with."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load import dotenv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml",
             "docker-compose.override.yaml")
NOT_FOUND = "no configuration file provided: not found"


class Location:
    """The answer: files (absolute, ``-`` for standard input), directory, environment."""

    __slots__ = ("env_files", "environment", "files", "working_dir")

    def __init__(self, files: list[str], working_dir: str, environment: dict[str, str], env_files: list[str]) -> None:
        self.files = files
        self.working_dir = working_dir
        self.environment = environment
        self.env_files = env_files


def locate(files: list[str], directory: str, env_files: list[str], process: Mapping[str, str], cwd: str) -> Location:
    """Files named by ``-f``, by ``COMPOSE_FILE`` (of the process or of ``.env``), or found here or further up.

    ``process`` is the shell's environment; it wins over every env file. No file at all is an empty ``files``.
    """
    base = os.path.abspath(os.path.join(cwd, directory)) if directory else ""
    named = [item if item == "-" else os.path.abspath(os.path.join(cwd, item)) for item in files]
    start = base or (os.path.dirname(named[0]) if named and named[0] != "-" else "") or cwd
    environment, used = _environment(env_files, start, process, cwd)
    if not named:
        named = _from_variable(environment, base or cwd)
    if not named:
        named = _search(base or cwd)
        if named and not base and os.path.dirname(named[0]) != start:
            environment, used = _environment(env_files, os.path.dirname(named[0]), process, cwd)
    working_dir = base or (os.path.dirname(named[0]) if named and named[0] != "-" else cwd)
    return Location(named, working_dir, environment, used)


def _environment(env_files: list[str], directory: str, process: Mapping[str, str],
                 cwd: str) -> tuple[dict[str, str], list[str]]:
    chosen = [os.path.abspath(os.path.join(cwd, item)) for item in env_files]
    if not chosen and process.get("COMPOSE_ENV_FILES"):
        chosen = [os.path.abspath(os.path.join(cwd, item)) for item in process["COMPOSE_ENV_FILES"].split(",")]
    if not chosen and not _true(process.get("COMPOSE_DISABLE_ENV_FILE", "")):
        default = os.path.join(directory, ".env")
        chosen = [default] if os.path.isfile(default) else []
    values: dict[str, str] = {}
    for item in chosen:
        if not os.path.isfile(item):
            raise ComposeError(f"couldn't find env file: {item}")
        values.update(dotenv.load(item, {**values, **process}))
    values.update(process)
    return values, chosen


def _true(text: str) -> bool:
    return text.lower() in ("1", "true", "t", "yes", "y", "on")


def _from_variable(environment: Mapping[str, str], base: str) -> list[str]:
    value = environment.get("COMPOSE_FILE", "")
    if not value:
        return []
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    return [item if item == "-" else os.path.abspath(os.path.join(base, item)) for item in value.split(separator)]


def _search(start: str) -> list[str]:
    directory = start
    while True:
        found = [name for name in NAMES if os.path.isfile(os.path.join(directory, name))]
        if found:
            if len(found) > 1:
                from solva.compose.load.options import warn

                shown = ", ".join(os.path.join(directory, name) for name in found)
                warn(f"Found multiple config files with supported names: {shown}")
                warn(f"Using {os.path.join(directory, found[0])}")
            overrides = [name for name in OVERRIDES if os.path.isfile(os.path.join(directory, name))]
            return [os.path.join(directory, name) for name in (found[0], *overrides[:1])]
        parent = os.path.dirname(directory)
        if parent == directory:
            return []
        directory = parent


def normalize_name(text: str) -> str:
    """A directory's name as a project name."""
    kept = "".join(char for char in text.lower() if char.isascii() and (char.isalnum() or char in "-_"))
    return kept.lstrip("-_")


def check_name(name: str) -> str:
    """``name``, or ComposeError in Docker's words."""
    if not name or name != normalize_name(name):
        raise ComposeError(f'invalid project name "{name}": must consist only of lowercase alphanumeric characters, '
                           "hyphens, and underscores as well as start with a letter or number")
    return name


def project_name(given: str, location: Location, warn: Any) -> str:
    """The project's name: given, ``COMPOSE_PROJECT_NAME``, the last file's ``name:``, the directory's name."""
    name = given or location.environment.get("COMPOSE_PROJECT_NAME", "")
    if name:
        return check_name(name)
    from solva.compose.load.files import read
    from solva.compose.load.interpolate import substitute
    from solva.compose.load.yaml import parse_all

    found = ""
    for file in location.files:
        if file == "-":
            continue
        text = read(file)
        if "name" not in text or not any(line.startswith(("name", '"name', "'name", "{")) for line in text.split("\n")):
            continue
        for document in parse_all(text, file):
            value = document.value.get("name") if isinstance(document.value, dict) else None
            if isinstance(value, str):
                found = substitute(value, location.environment, warn)
    if found:
        return check_name(found)
    name = normalize_name(os.path.basename(os.path.abspath(location.working_dir)))
    if not name:
        raise ComposeError("project name must not be empty")
    return name
