"""docs/api.md: every operation of the Engine API's specification and what Solva does with it.

    python tools/api_table.py           writes it
    python tools/api_table.py --check   exit status 1 where it is not up to date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from solva.server.routes import all_routes
from solva.server.routing import Route, Router

ROOT = Path(__file__).resolve().parents[1]
SPECIFICATION = ROOT / "tests" / "data" / "engine-api-1.51.json"
PAGE = ROOT / "docs" / "api.md"
HEAD = """# The Engine API, operation by operation

Made by `tools/api_table.py` of the specification of v1.51 (moby, Apache-2.0) and of Solva's routes; a test keeps it
true.
Versions 1.24 to 1.51 are spoken; what older ones said otherwise is in `src/solva/server/versions.py`.
Where Solva does something differently, [compatibility.md](compatibility.md) says so.

"""


class _Nothing:
    """In place of the engine: routes are only listed."""

    def __getattr__(self, name: str) -> Any:
        return None


def operations() -> list[tuple[str, str, str]]:
    """(operation id, method, path) of the specification, in its order."""
    paths = json.loads(SPECIFICATION.read_text())["paths"]
    return [(operation["operationId"], method.upper(), path)
            for path, methods in paths.items() for method, operation in methods.items()]


def router() -> Router:
    return Router(all_routes(cast(Any, _Nothing())))


def route_of(table: Router, method: str, path: str) -> Route | None:
    """The route that a path of the specification leads to, its parameters filled in."""
    filled = path.replace("{", "").replace("}", "")
    return table.find(method, filled)[0]


def page() -> str:
    table = router()
    rows, served = [], 0
    for name, method, path in operations():
        route = route_of(table, method, path)
        if route is None:
            raise SystemExit(f"{method} {path} ({name}) has no route: serve it, or give a route with `absent`")
        served += not route.absent
        rows.append(f"| {name} | `{method} {path}` | {route.absent or 'served'} |")
    count = f"{served} of {len(rows)} operations are served.\n\n"
    return HEAD + count + "| operation | request | Solva |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def main(arguments: list[str]) -> int:
    text = page()
    if arguments == ["--check"]:
        return 0 if PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
