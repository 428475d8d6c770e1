"""Help texts in Docker's layout, wrapped to the terminal."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from solva.cli.flags import Command, Flag

_KIND_DEFAULTS = {"map": " (default map[])", "ulimit": " (default [])"}


def columns() -> int:
    """Width to wrap at: the terminal's, or 80."""
    try:
        return max(os.get_terminal_size(1).columns, 40)
    except OSError:
        return 80


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters; line breaks in ``text`` stay."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines


def flag_lines(flags: Iterable[Flag], width: int) -> list[str]:
    """The option list: names, kinds and descriptions in two columns."""
    rows = []
    for flag in sorted(flags, key=lambda flag: flag.name):
        if flag.hidden:
            continue
        left = f"  -{flag.shorthand}, " if flag.shorthand else "      "
        left += f"--{flag.name}"
        if flag.kind != "bool":
            left += f" {flag.kind}"
        default = flag.shown_default or _KIND_DEFAULTS.get(flag.kind, "")
        if not default and flag.default:
            shown = "true" if flag.default is True else flag.default
            default = f' (default "{shown}")' if isinstance(shown, str) and shown != "true" else f" (default {shown})"
        rows.append((left, flag.help + default))
    column = max((len(left) for left, _ in rows), default=0) + 3
    lines = []
    for left, text in rows:
        first, *rest = wrap(text, max(width - column - 1, 24))
        lines.append(left.ljust(column) + first)
        lines += [" " * column + line for line in rest]
    return lines


def command_help(command: Command) -> str:
    """What ``solva VERB --help`` prints."""
    usages = command.usage.split("\n")
    lines = [f"Usage:  solva {command.name} {usages[0]}".rstrip()]
    lines += [f"\tsolva {command.name} {usage}" for usage in usages[1:]]
    lines += ["", command.short]
    if command.long:
        lines += ["", command.long]
    if command.aliases:
        lines += ["", "Aliases:", "  " + ", ".join(f"solva {alias}" for alias in command.aliases)]
    options = flag_lines(command.flags, columns())
    if options:
        lines += ["", "Options:", *options]
    return "\n".join(lines)


def usage_line(command: Command) -> str:
    """The usage line that follows an error."""
    usages = command.usage.split("\n")
    more = "".join(f"\n\tsolva {command.name} {usage}" for usage in usages[1:])
    return f"Usage:  solva {command.name} {usages[0]}".rstrip() + more


def table_of(rows: Iterable[tuple[str, str]], width: int = 11) -> list[str]:
    """Names and descriptions of commands."""
    return [f"  {name.ljust(width)} {text}" for name, text in rows]
