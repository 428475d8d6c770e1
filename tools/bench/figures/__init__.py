"""A file an area, each with its ``FIGURES``; a new file is found by being here."""

from __future__ import annotations

import importlib
import pkgutil

from tools.bench.figure import Figure


def areas() -> dict[str, tuple[Figure, ...]]:
    """The figures by area, in the order of the names; ValueError for a name that is there twice."""
    found: dict[str, tuple[Figure, ...]] = {}
    seen: dict[str, str] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        figures: tuple[Figure, ...] = importlib.import_module(f"{__name__}.{module.name}").FIGURES
        for figure in figures:
            if figure.name in seen:
                raise ValueError(f"the figure {figure.name} is in {seen[figure.name]} and in {module.name}")
            seen[figure.name] = module.name
        found[module.name] = figures
    return found
