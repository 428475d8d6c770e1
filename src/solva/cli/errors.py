"""What ends a command: an exit status, and what the user reads first."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Command


class CommandError(Exception):
    """The command failed; ``str(error)`` is printed as it stands, ``status`` is the exit code."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Exit(Exception):
    """End with ``status``, everything having been said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class UsageError(CommandError):
    """The command line is wrong: the message, then the usage line and where help is."""

    def __init__(self, message: str, status: int = 125, *, command: Command | None = None) -> None:
        super().__init__(message, status)
        self.command = command


class RunError(CommandError):
    """A failure of ``run``, ``create`` in Docker's layout: ``solva: MESSAGE`` and where help is."""
