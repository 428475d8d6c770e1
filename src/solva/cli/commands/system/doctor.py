"""``solva doctor``: what this kernel and machine can do, what is missing for which feature, and the mend."""

from __future__ import annotations

import os
import sys

from solva.cli import engine_start
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.session import say
from solva.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session

_MARKS = {"ok": "ok", "limited": "missing", "broken": "BROKEN"}


def run(session: Session, options: Options) -> int:
    """Ask the engine if it runs; else examine this machine. Status 1 where containers cannot run."""
    endpoint = session.endpoint
    running = engine_start.answers(endpoint.url)
    rows = None
    if running:
        try:
            rows = session.api.json("GET", "/solva/doctor")
        except NotFound:
            if not endpoint.own:
                raise CommandError(f"what answers at {endpoint.url} is not Solva, or an older one") from None
    elif not endpoint.own:
        raise CommandError(f"no engine answers at {endpoint.url}; without -H and contexts this machine is examined")
    if rows is None:
        rows = _here()
    status = int(any(row["State"] == "broken" for row in rows))
    fmt = options.text("format")
    if fmt:
        from solva.cli.output.gojson import compact
        from solva.cli.output.template import Template

        if fmt == "json":
            say(compact({"Engine": "running" if running else "not running", "Checks": rows}))
        else:
            template = Template(fmt)
            for row in rows:
                say(template.render(row))
        return status
    say("\n".join(_lines(rows, running, verbose=not options.on("quiet"))))
    return status


def _here() -> list[dict[str, Any]]:
    import json
    import subprocess

    command = [sys.executable, "-m", "solva.doctor", *filter(None, [os.environ.get("SOLVA_DATA_ROOT")])]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=engine_start.environment(), check=False)
    if done.returncode:
        raise CommandError(f"the examination failed with status {done.returncode}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _lines(rows: list[dict[str, Any]], running: bool, *, verbose: bool) -> list[str]:
    shown: list[str] = []
    group = ""
    for row in rows:
        if row["State"] == "ok" and not verbose:
            continue
        if row["Group"] != group:
            group = row["Group"]
            shown += ["", group] if shown else [group]
        shown.append(f"  {_MARKS[row['State']]:<8} {row['Name']:<22} {row['Found']}".rstrip())
        if row["State"] != "ok":
            shown.append(f"{'':33} for:  {row['For']}")
            shown.append(f"{'':33} mend: {row['Mend']}")
    broken = [row["Name"] for row in rows if row["State"] == "broken"]
    missing = [row["Name"] for row in rows if row["State"] == "limited"]
    shown += ["", f"engine: {'running' if running else 'not running'}"]
    if broken:
        shown.append(f"Containers cannot run here: {', '.join(broken)}.")
    elif missing:
        shown.append(f"Containers run here. Not available: {', '.join(missing)}.")
    else:
        shown.append("Everything is there.")
    return shown


COMMAND = Command(
    "doctor", "[OPTIONS]", "Show what this machine can do and what is missing for which feature", run, flags=(
        Flag("format", "", "string", "Format the result: 'json', or a Go template for each check"),
        Flag("quiet", "q", "bool", "Show only what is missing")), arity=(0, 0),
    long="Everything is tried, in namespaces that are thrown away. Works without a running engine, and starts none.\n"
         "Exit status: 0 containers can run, 1 they cannot.")
