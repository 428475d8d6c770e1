"""Whether the content of files has the shape of a compose file: the specification's JSON schema is interpreted.

Of several complaints the one deepest in the file is told, with file, line, column and the nearest valid key.
"""

from __future__ import annotations

import re

from solva.compose.attributes.units import text
from solva.compose.errors import ComposeError
from solva.compose.load.tree import dotted
from solva.compose.load.yaml import Timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from solva.compose.load.places import Places
    from solva.compose.load.tree import Path

    Schema = dict[str, Any]

# Of the specification, but younger than the schema that Docker Compose 2.40 has.
_YOUNGER: dict[str, dict[str, Any]] = {
    "service": {"pre_start": {"type": "array", "items": {"$ref": "#/definitions/service_hook"}}},
    "build": {"no_cache_filter": {"$ref": "#/definitions/string_or_list"}},
}


class Problem:
    """What does not fit: where, what, and how near to the culprit the complaint is."""

    __slots__ = ("depth", "message", "path")

    def __init__(self, path: Path, message: str, depth: int | None = None) -> None:
        self.path = path
        self.message = message
        self.depth = len(path) if depth is None else depth


def validate(content: dict[str, Any], places: Places) -> None:
    """ComposeError unless ``content`` fits."""
    problem = Checker(schema()).check(content)
    if problem is None:
        return
    where = problem.path[:-1] if problem.depth > len(problem.path) - 1 and problem.message.startswith(
        "additional") else problem.path
    raise ComposeError(f"validating {places.place(problem.path)}: {dotted(where)} {problem.message}".replace(
        ":  ", ": "))


_SCHEMA: list[Schema] = []


def schema() -> Schema:
    """The compose specification's JSON schema, as a mapping."""
    if not _SCHEMA:
        import json
        import os

        file = os.path.join(os.path.dirname(os.path.dirname(__file__)), "schema", "compose-spec.json")
        with open(file, encoding="utf-8") as stream:
            found = json.load(stream)
        service = found["definitions"]["service"]["properties"]
        service.update(_YOUNGER["service"])
        service["build"]["oneOf"][1]["properties"].update(_YOUNGER["build"])
        _SCHEMA.append(found)
    return _SCHEMA[0]


class Checker:
    """The keywords of JSON Schema that the specification uses."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.definitions: dict[str, Schema] = root["definitions"]

    def check(self, value: Any) -> Problem | None:
        """The most telling problem of ``value``, if any."""
        return self.find(self.root, value, ())

    def find(self, shape: Schema, value: Any, path: Path) -> Problem | None:
        reference = shape.get("$ref")
        if reference is not None:
            shape = self.definitions[reference[14:]]
        if isinstance(value, Timestamp) and shape:
            return Problem(path, f"must be a string: write it in quotes, {value.text} is a date")
        wanted = shape.get("type")
        if wanted is not None and not _is(value, wanted):
            return Problem(path, f"must be a {_humanly(wanted)}")
        best: Problem | None = None
        for problem in self.problems(shape, value, path):
            if best is None or problem.depth > best.depth:
                best = problem
        return best

    def problems(self, shape: Schema, value: Any, path: Path) -> Iterator[Problem]:
        if "enum" in shape and value not in shape["enum"]:
            known = ", ".join(f"'{item}'" for item in shape["enum"])
            yield Problem(path, f"value must be one of {known}{suggestion(str(value), shape['enum'])}")
        if isinstance(value, dict):
            yield from self.mapping(shape, value, path)
        elif isinstance(value, list):
            yield from self.items(shape, value, path)
        elif isinstance(value, str):
            if "pattern" in shape and not re.search(shape["pattern"], value):
                yield Problem(path, f"'{value}' does not match pattern '{shape['pattern']}'")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if "minimum" in shape and value < shape["minimum"]:
                yield Problem(path, f"must be greater than or equal to {shape['minimum']}")
            if "maximum" in shape and value > shape["maximum"]:
                yield Problem(path, f"must be less than or equal to {shape['maximum']}")
        if "oneOf" in shape:
            yield from self.one_of(shape["oneOf"], value, path)

    def mapping(self, shape: Schema, value: dict[str, Any], path: Path) -> Iterator[Problem]:
        for key in shape.get("required", ()):
            if key not in value:
                yield Problem(path, f"missing property '{key}'")
        known = shape.get("properties", {})
        patterns = shape.get("patternProperties", {})
        closed = shape.get("additionalProperties", True) is False
        strange = []
        for key, item in value.items():
            below = known.get(key)
            matched = [below] if below is not None else []
            matched += [inner for pattern, inner in patterns.items() if re.search(pattern, key)]
            if not matched and closed:
                strange.append(key)
            for inner in matched:
                problem = self.find(inner, item, (*path, key))
                if problem is not None:
                    yield problem
        if strange:
            named = ", ".join(f"'{key}'{suggestion(key, known)}" for key in strange[:-1])
            last = f"'{strange[-1]}' not allowed{suggestion(strange[-1], known)}"
            yield Problem((*path, strange[0]), f"additional properties {named}{', ' if named else ''}{last}",
                          len(path) + 1)

    def items(self, shape: Schema, value: list[Any], path: Path) -> Iterator[Problem]:
        if shape.get("uniqueItems"):
            repeat = _repeated(value)
            if repeat is not None:
                yield Problem(path, f"items at {repeat[0]} and {repeat[1]} are equal ({text(value[repeat[0]])})")
        inner = shape.get("items")
        if inner is not None:
            for index, item in enumerate(value):
                problem = self.find(inner, item, (*path, index))
                if problem is not None:
                    yield problem

    def one_of(self, options: list[Schema], value: Any, path: Path) -> Iterator[Problem]:
        found = [self.find(option, value, path) for option in options]
        failed = [problem for problem in found if problem is not None]
        if len(failed) == len(found):
            # What is of the right type tells more than what is not.
            yield max(failed, key=lambda problem: problem.depth)
        elif len(failed) < len(found) - 1:
            yield Problem(path, "fits more than one of the forms it may have")


def _is(value: Any, wanted: str | list[str]) -> bool:
    if isinstance(wanted, list):
        return any(_is(value, item) for item in wanted)
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _TYPES[wanted])


_TYPES: dict[str, Any] = {"string": str, "number": (int, float), "object": dict, "array": list, "null": type(None),
                          "boolean": bool}


def _humanly(wanted: str | list[str]) -> str:
    if isinstance(wanted, str):
        return "mapping" if wanted == "object" else wanted
    names = sorted("mapping" if item == "object" else item for item in wanted)
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _repeated(value: list[Any]) -> tuple[int, int] | None:
    seen: dict[Any, int] = {}
    for index, item in enumerate(value):
        key = (isinstance(item, bool), item) if isinstance(item, str | int | float | None) else repr(_stable(item))
        if key in seen:
            return seen[key], index
        seen[key] = index
    return None


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stable(value[key]) for key in sorted(value)}
    return [_stable(item) for item in value] if isinstance(value, list) else value


def suggestion(key: str, known: Any) -> str:
    """`` (did you mean 'image'?)`` for a key that is nearly a known one, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(key, list(known), 1, 0.65)
    return f" (did you mean '{near[0]}'?)" if near else ""
