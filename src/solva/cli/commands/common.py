"""Flags that many verbs share."""

from __future__ import annotations

from solva.cli.flags import Flag

LIST_FORMAT = ("How each row is printed:\n"
               "'table':            a table with headers (default)\n"
               "'table TEMPLATE':   a table made by a Go template\n"
               "'json':             JSON, one object a line\n"
               "'TEMPLATE':         a Go template")
INSPECT_FORMAT = ("How each object is printed:\n"
                  "'json':             JSON on one line\n"
                  "'TEMPLATE':         a Go template")


def list_flags(*extra: Flag, quiet: str, filter_help: str = "Show only what matches the condition") -> tuple[Flag, ...]:
    """--filter, --format, --quiet of a listing."""
    return (
        Flag("filter", "f", "filter", filter_help),
        Flag("format", "", "string", LIST_FORMAT),
        Flag("quiet", "q", "bool", quiet),
        *extra,
    )


NO_TRUNC = Flag("no-trunc", "", "bool", "Don't truncate output")
FORCE = Flag("force", "f", "bool", "Do not prompt for confirmation")
PRUNE_FILTER = Flag("filter", "", "filter", 'Prune only what matches (e.g. "until=<timestamp>")')
INSPECT = Flag("format", "f", "string", INSPECT_FORMAT)
