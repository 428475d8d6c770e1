"""Which files make up the project, where it lives, what it is called, and the environment they are read with."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load import dotenv
from solva.compose.load.paths import is_remote_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml",
             "docker-compose.override.yaml")
NOT_FOUND = "no configuration file provided: not found"


class Location:
    """The answer: files (absolute, ``-`` for standard input), directory, environment.

    ``paths_from``: what relative paths in the files start from: ``working_dir``, or the first remote file's directory.
    """

    __slots__ = ("env_files", "environment", "files", "paths_from", "working_dir")

    def __init__(self, files: list[str], working_dir: str, environment: dict[str, str], env_files: list[str],
                 paths_from: str = "") -> None:
        self.files = files
        self.working_dir = working_dir
        self.environment = environment
        self.env_files = env_files
        self.paths_from = paths_from or working_dir


def locate(files: list[str], directory: str, env_files: list[str], process: Mapping[str, str], cwd: str) -> Location:
    """Files named by ``-f``, by ``COMPOSE_FILE`` (of the process or of ``.env``), or found here or further up.

    ``process`` is the shell's environment; it wins over every env file. No file at all is an empty ``files``.
    """
    base = os.path.abspath(os.path.join(cwd, directory)) if directory else ""
    remote = [item for item in files if is_remote_file(item)]
    named = [item if item == "-" or item in remote else os.path.abspath(os.path.join(cwd, item)) for item in files]
    environment = dict(process)
    environment.setdefault("PWD", cwd)
    used = _add_env_files(environment, env_files, base or _directory(named) or cwd, process, cwd)
    if not named:
        named = _from_variable(environment, cwd)
    if not named:
        named = _search(base or cwd)
    working_dir = base or _directory(named) or cwd
    used += [item for item in _add_env_files(environment, env_files, working_dir, process, cwd) if item not in used]
    if not remote:
        return Location(named, working_dir, environment, used)
    from solva.compose.load.remote import fetch

    local = [fetch(item).file if item in remote else item for item in named]
    return Location(local, working_dir, environment, used, os.path.dirname(fetch(remote[0]).file))


def _directory(files: list[str]) -> str:
    """Of the first file; none ("") where that is a remote one."""
    first = next((item for item in files if item != "-"), "")
    return os.path.dirname(first) if os.path.isabs(first) else ""


def _add_env_files(environment: dict[str, str], env_files: list[str], directory: str, process: Mapping[str, str],
                   cwd: str) -> list[str]:
    """Add what env files say and ``environment`` lacks; the files. By default ``.env`` of ``directory``."""
    chosen = [os.path.abspath(os.path.join(cwd, item)) for item in env_files]
    if not chosen and process.get("COMPOSE_ENV_FILES"):
        chosen = [os.path.abspath(os.path.join(cwd, item)) for item in process["COMPOSE_ENV_FILES"].split(",") if item]
    if not chosen and not _true(process.get("COMPOSE_DISABLE_ENV_FILE", "")):
        default = os.path.join(directory, ".env")
        chosen = [default] if os.path.isfile(default) else []
    values: dict[str, str] = {}
    for item in chosen:
        if not os.path.exists(item):
            raise ComposeError(f"couldn't find env file: {item}")
        if os.path.isdir(item):
            raise ComposeError(f"{item} is a directory")
        values.update(dotenv.load(item, environment, values, _warn))
    for key, value in values.items():
        environment.setdefault(key, value)
    return chosen


def _warn(message: str) -> None:
    from solva.compose.load.options import warn

    warn(message)


def _true(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("", "0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ComposeError(f'COMPOSE_DISABLE_ENV_FILE: strconv.ParseBool: parsing "{text}": invalid syntax')


def _from_variable(environment: Mapping[str, str], base: str) -> list[str]:
    value = environment.get("COMPOSE_FILE", "")
    if not value:
        return []
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    found = [item if item == "-" else os.path.abspath(os.path.join(base, item)) for item in value.split(separator)]
    for item in found:
        if item != "-" and not os.path.exists(item):
            raise ComposeError(f"COMPOSE_FILE: stat {item}: no such file or directory")
    return found


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


def project_name(given: str, location: Location, warn: Any, *, normalize: bool = True, interpolate: bool = True) -> str:
    """The project's name: given, ``COMPOSE_PROJECT_NAME``, the last ``name:`` of the files, the directory's name."""
    name = given or location.environment.get("COMPOSE_PROJECT_NAME", "")
    if name:
        return check_name(name)
    from solva.compose.load.files import read

    found = ""
    for file in location.files:
        text = read(file)
        if "name" in text and any(line.startswith(("name", '"name', "'name", "{", "?")) for line in text.split("\n")):
            found = _named(text, file) or found
    if not found:
        return normalize_name(os.path.basename(os.path.abspath(location.working_dir)))
    if interpolate:
        from solva.compose.load.interpolate import interpolate as interpolated
        from solva.compose.load.options import LoadOptions

        found = interpolated({"name": found}, LoadOptions("", location.environment, warn=warn))["name"]
    return normalize_name(found) if normalize else found


def _named(text: str, file: str) -> str:
    from solva.compose.load.yaml import parse_all

    found = ""
    for document in parse_all(text, file):
        value = document.value.get("name") if isinstance(document.value, dict) else None
        found = value if isinstance(value, str) and value else found
    return found
