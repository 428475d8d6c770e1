"""Paths to handlers. A pattern is segments: ``containers``, ``{name}`` (one segment) or ``{name...}`` (one or more:
image names have slashes)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from solva.server.http import Request

Handler = Callable[["Request"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``abandons``: stops when the client leaves; else it runs to its end regardless. ``absent``: what
    it answers and why, where it does not do what Docker does (docs/api.md is made of it)."""

    method: str
    pattern: str
    handler: Handler
    abandons: bool = False
    absent: str = ""


class Router:
    """First exact paths, then patterns in the order given."""

    def __init__(self, routes: list[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._by_head: dict[str, list[tuple[Route, tuple[str, ...]]]] = {}
        self.routes = tuple(routes)
        for route in routes:
            if "{" not in route.pattern:
                self._exact[route.method, route.pattern] = route
            else:
                parts = tuple(route.pattern.strip("/").split("/"))
                self._by_head.setdefault(parts[0], []).append((route, parts))

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        """The route and its parameters. A known path with another method is not found either, as in Docker."""
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, {}
        segments = path.strip("/").split("/")
        for route, parts in self._by_head.get(segments[0], ()):
            params = match(parts, segments)
            if params is None:
                continue
            if route.method == method or (method == "HEAD" and route.method == "GET"):
                return route, params
        return None, {}


def match(parts: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    """Parameters of a path under a pattern, None where it does not fit."""
    greedy = next((i for i, part in enumerate(parts) if part.endswith("...}")), None)
    if greedy is None:
        if len(parts) != len(segments):
            return None
        spans = [(part, segment) for part, segment in zip(parts, segments, strict=True)]
    else:
        tail = len(parts) - greedy - 1
        if len(segments) < len(parts):
            return None
        middle = "/".join(segments[greedy:len(segments) - tail])
        spans = [*zip(parts[:greedy], segments[:greedy], strict=True), (parts[greedy], middle),
                 *zip(parts[greedy + 1:], segments[len(segments) - tail:], strict=True)]
    params = {}
    for part, segment in spans:
        if part.startswith("{"):
            if not segment:
                return None
            params[part.strip("{}").removesuffix("...")] = segment
        elif part != segment:
            return None
    return params
