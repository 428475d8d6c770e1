"""What Compose refuses: texts are Docker Compose's, with the place in the file where one is known."""

from __future__ import annotations

from solva.errors import InvalidParameter


class ComposeError(InvalidParameter):
    """A compose file, an option or a project that cannot be used. ``status`` is the process's exit code."""

    status = 1


class InvalidProject(ComposeError):
    """The files are well-formed and contradict themselves; ``: invalid compose project`` is appended."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}: invalid compose project")


class Interrupted(Exception):
    """The user does not want to wait any longer."""
