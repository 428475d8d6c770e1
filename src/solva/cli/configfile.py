"""``config.json`` of the Docker client: read, and changed without losing what others keep there."""

from __future__ import annotations

import os

from solva.cli.errors import CommandError
from solva.client.fastjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read(folder: str) -> dict[str, Any]:
    """The file's content; empty where there is none."""
    path = os.path.join(folder, "config.json")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    try:
        value = loads(data) if data.strip() else {}
    except ValueError as error:
        raise CommandError(f"Error loading config file: {path}: {error}") from None
    if not isinstance(value, dict):
        raise CommandError(f"Error loading config file: {path}: not an object")
    return value


def write(folder: str, config: dict[str, Any]) -> None:
    """Replace the file in one step, readable by its owner alone."""
    import json

    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.realpath(os.path.join(folder, "config.json"))
    temporary = f"{path}.{os.getpid()}"
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(number, "w", encoding="utf-8") as file:
        json.dump(config, file, indent="\t", ensure_ascii=False)
    os.replace(temporary, path)
