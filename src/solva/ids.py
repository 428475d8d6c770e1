"""Identifiers and names of objects: 64 hex digits, and Docker's rule for names."""

import re
import secrets

from solva.errors import InvalidParameter

SHORT = 12
NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_ID = re.compile(r"[0-9a-f]{64}\Z")


def new_id() -> str:
    """A new object id: 64 lower-case hex digits. Never all digits in its first 12 (it would read as a number)."""
    while True:
        value = secrets.token_hex(32)
        if not value[:SHORT].isdigit():
            return value


def short(identifier: str) -> str:
    """The 12-digit form users see; ``sha256:`` is dropped first."""
    return identifier.removeprefix("sha256:")[:SHORT]


def is_id(text: str) -> bool:
    """Whether ``text`` is a whole 64-digit id."""
    return _ID.match(text) is not None


def check_container_name(name: str) -> str:
    """``name`` without its leading slash, or InvalidParameter in Docker's words."""
    bare = name.removeprefix("/")
    if not NAME_PATTERN.match(bare):
        raise InvalidParameter(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return bare
