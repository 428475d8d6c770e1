"""Every operation of the specification is served, or a route says why not; docs/api.md tells which."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

import api_table


def test_every_operation_has_a_route() -> None:
    table = api_table.router()
    missing = [f"{method} {path}" for _, method, path in api_table.operations()
               if api_table.route_of(table, method, path) is None]
    assert not missing


def test_each_route_leads_to_its_own_operation() -> None:
    """No pattern swallows another operation's path: /images/get is not an image named "get"."""
    table = api_table.router()
    for _, method, path in api_table.operations():
        route = api_table.route_of(table, method, path)
        assert route is not None
        if "{" not in path:
            assert route.pattern == path or "..." in route.pattern, (path, route.pattern)


def test_the_page_is_up_to_date() -> None:
    assert api_table.PAGE.read_text() == api_table.page(), "run tools/api_table.py"
