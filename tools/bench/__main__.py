"""`make bench`: see the package's description."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.bench import __doc__ as description
from tools.bench import report
from tools.bench.figure import Figure
from tools.bench.figures import areas
from tools.bench.measure import Result, measure
from tools.bench.sides import ROOT, CannotMeasure, Docker, Side, Solva, versions


def chosen(only: Sequence[str]) -> list[Figure]:
    """The figures of these names or areas; all of them without any. LookupError names what is not there."""
    known = areas()
    if not only:
        return [figure for figures in known.values() for figure in figures]
    wanted: list[Figure] = []
    for name in only:
        found = [figure for area, figures in known.items() for figure in figures if name in (area, figure.name)]
        if not found:
            raise LookupError(f"no figure or area is called {name}; --list shows them")
        wanted += [figure for figure in found if figure not in wanted]
    return wanted


def listing() -> None:
    for area, figures in areas().items():
        print(f"{area}:")
        for figure in figures:
            print(f"  {figure.name:<22} {figure.aim.text(figure.unit):<12} {figure.title}")


def bring_up(folder: Path, alone: bool) -> list[Side]:
    sides: list[Side] = [Solva(folder)]
    if not alone:
        try:
            sides.append(Docker(folder))
        except CannotMeasure as error:
            print(f"bench: {error}\nbench: ours alone is measured", file=sys.stderr)
    return sides


def run(figures: Sequence[Figure], sides: Sequence[Side], runs: int | None) -> list[Result]:
    print(report.HEAD)
    results = []
    for figure in figures:
        results.append(measure(figure, sides, runs))
        print(report.row(results[-1]), flush=True)
        for side, why in results[-1].problems.items():
            print(f"bench: {figure.name} on {side}: {why}", file=sys.stderr)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this figure or area")
    parser.add_argument("--list", action="store_true", help="the figures there are")
    parser.add_argument("--runs", type=int, metavar="N", help="samples a side, instead of each figure's own number")
    parser.add_argument("--json", type=Path, metavar="FILE", default=ROOT / ".cache" / "bench.json",
                        help="where every sample goes (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="no Docker to compare with")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when an aim is missed")
    asked = parser.parse_args(arguments)
    if asked.list:
        listing()
        return 0
    try:
        figures = chosen(asked.only)
    except LookupError as error:
        parser.error(str(error))
    if os.geteuid() != 0:
        print("bench: an engine needs root", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):      # also when started in the background: what is made is removed
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="solva-bench-", dir="/tmp"))
    sides: list[Side] = []
    try:
        sides = bring_up(folder, asked.alone)
        results = run(figures, sides, asked.runs)
        report.write(asked.json, report.document(results, {side.name: versions(side) for side in sides}))
        print(f"\nsamples: {asked.json}; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    except CannotMeasure as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    finally:
        for side in reversed(sides):
            try:
                side.close()
            except Exception as error:
                print(f"bench: ending {side.name}: {error}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
    missed = any(result.met is False or "solva" in result.problems for result in results)
    return 1 if asked.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
