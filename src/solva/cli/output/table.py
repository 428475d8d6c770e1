"""Aligned columns, as Go's text/tabwriter makes them with Docker's settings."""

from __future__ import annotations

MIN_WIDTH = 10
PADDING = 3


def align(rows: list[list[str]], *, min_width: int = MIN_WIDTH, padding: int = PADDING) -> list[str]:
    """One line a row. A column is as wide as the neighbouring rows that have it need; the last cell is not padded."""
    lines = [list(row) for row in rows]
    _align(lines, 0, 0, len(lines), min_width, padding)
    return ["".join(line) for line in lines]


def _align(lines: list[list[str]], column: int, start: int, end: int, min_width: int, padding: int) -> None:
    index = start
    while index < end:
        if column >= len(lines[index]) - 1:
            index += 1
            continue
        stop = index
        while stop < end and column < len(lines[stop]) - 1:
            stop += 1
        width = max(min_width, max(len(line[column]) for line in lines[index:stop]) + padding)
        for line in lines[index:stop]:
            line[column] = line[column].ljust(width)
        _align(lines, column + 1, index, stop, min_width, padding)
        index = stop


def clean(text: str) -> str:
    """``text`` without what could steer a terminal: control characters become ``?``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
