"""The table, which is Markdown as the README has it, and the JSON with every sample."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.bench.measure import Result

HEAD = "| figure | Solva | Docker | ratio | aim | |\n|---|---|---|---|---|---|"


def number(value: float | None, unit: str) -> str:
    """Three figures that matter, with the unit."""
    if value is None:
        return "-"
    return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}"


def verdict(result: Result) -> str:
    if result.met is None:
        return "; ".join(f"{side}: {why}" for side, why in result.problems.items()) or "-"
    return "ok" if result.met else "missed"


def row(result: Result) -> str:
    """A row of the table."""
    figure = result.figure
    ratio = "-" if result.ratio is None else f"{result.ratio:.2f} ×"
    cells = [figure.title, number(result.median("solva"), figure.unit), number(result.median("docker"), figure.unit),
             ratio, figure.aim.text(figure.unit), verdict(result)]
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def document(results: Sequence[Result], versions: dict[str, Any]) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cpus": os.cpu_count(), "load": os.getloadavg(), "kernel": platform.release(),
                    "python": platform.python_version()},
        "versions": versions,
        "figures": {result.figure.name: {
            "title": result.figure.title, "unit": result.figure.unit, "aim": result.figure.aim.text(result.figure.unit),
            "median": {side: result.median(side) for side in result.samples}, "ratio": result.ratio,
            "met": result.met, "samples": result.samples, "problems": result.problems,
        } for result in results},
    }


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.rename(path)
