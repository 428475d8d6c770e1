"""Asking before something is destroyed."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def confirmed(warning: str, *, force: bool) -> bool:
    """Whether the user agrees; ``--force`` agrees beforehand."""
    if force:
        return True
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    answer = sys.stdin.readline().strip().lower()
    if answer in ("y", "yes"):
        return True
    if not answer:
        sys.stdout.write("\n")
    return False


def prune_filters(pairs: list[tuple[str, str]], **more: list[str]) -> dict[str, Any] | None:
    """--filter of a prune as the API's filters, with those the verb adds."""
    from solva.cli.flags import filters_of

    return {**(filters_of(pairs) or {}), **more} or None


def report(title: str, names: list[str], reclaimed: int | None) -> None:
    """What a prune deleted and how much it freed."""
    from solva.cli.output.units import human_size

    out = sys.stdout
    if names:
        out.write(f"{title}\n" + "".join(f"{name}\n" for name in names) + "\n")
    if reclaimed is not None:
        out.write(f"Total reclaimed space: {human_size(reclaimed, 4)}\n")
