"""Where the name server and the engine meet: the port in a sandbox, the files below the run directory.

Imported by both sides; imports nothing.
"""

ADDRESS = "127.0.0.11"
PORT = 20053
"""Bound in every sandbox's network namespace; 127.0.0.11:53 is redirected here by the sandbox's own nft table."""

PROTOCOL = 1
"""Of the control socket and the files; a living process of another number is replaced, not adopted."""


def directory(run: str) -> str:
    """The folder that holds everything of the name server."""
    return f"{run}/dns"


def sandbox_file(run: str, sandbox_id: str) -> str:
    """The file of one sandbox's names."""
    return f"{run}/dns/{sandbox_id}.json"


def control_socket(run: str) -> str:
    """The process's control socket (stream, lines)."""
    return f"{run}/dns/control.sock"


def pid_file(run: str) -> str:
    """Holds the process's pid, locked for as long as it lives."""
    return f"{run}/dns/dns.pid"


def log_file(run: str) -> str:
    """Standard output and error of the process: what it skipped, and the query log if asked for."""
    return f"{run}/dns/dns.log"
