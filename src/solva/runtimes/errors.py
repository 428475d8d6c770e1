"""What crun says, in the words that Docker's clients match on (they derive exit code 126 or 127 from them)."""

from __future__ import annotations

import re

CREATE_PREFIX = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "crun create failed: unable to start container process: error during container init: "
)
EXEC_PREFIX = "OCI runtime exec failed: exec failed: unable to start container process: "

_NOT_FOUND = re.compile(r"executable file `(.*)` not found in \$PATH")
_CHDIR = re.compile(r"chdir(?: to)? `(.*)`: (.*)")


def translate(said: str, argv0: str) -> tuple[str, int]:
    """(cause in Docker's words, exit code 126, 127 or 128) for crun's ``said`` about starting ``argv0``."""
    text = said.strip().splitlines()[-1] if said.strip() else "unknown error"
    match = _NOT_FOUND.search(text)
    if match:
        name = match.group(1)
        if "/" in name:
            return f'exec: "{name}": stat {name}: no such file or directory', 127
        return f'exec: "{name}": executable file not found in $PATH', 127
    match = _CHDIR.search(text)
    if match:
        cause = match.group(2)
        cause = cause[:1].lower() + cause[1:]
        return f'chdir to cwd ("{match.group(1)}") set in config.json failed: {cause}', _code(cause)
    if text.startswith("open executable"):
        if "Operation not permitted" in text:
            return f'exec: "{argv0}": is a directory: permission denied', 126
        return f'exec: "{argv0}": permission denied', 126
    if text.startswith("exec: ") and "No such file" in text:
        return f'exec: "{argv0}": no such file or directory', 127
    return text, 128


def _code(cause: str) -> int:
    if "no such file" in cause:
        return 127
    return 126 if "permission denied" in cause or "not a directory" in cause else 128
