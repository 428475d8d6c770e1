"""Natural order of names: runs of digits count as numbers, so ``db2`` comes before ``db10``."""

from __future__ import annotations


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key. Digits come before letters, as they do byte by byte."""
    key: list[tuple[int, int, str]] = []
    index = 0
    while index < len(text):
        end = index
        while end < len(text) and "0" <= text[end] <= "9":
            end += 1
        if end > index:
            key.append((0, int(text[index:end]), ""))
            index = end
        else:
            key.append((1, 0, text[index]))
            index += 1
    return key
