"""Requests made of the Engine API's specification: right ones, and wrong ones in every place, always the same."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

FILE = Path(__file__).resolve().parents[1] / "data" / "engine-api-1.51.json"
WORDS = ("", "x", "busybox", "fuzz-kept", "0", "-1", "1", "true", "a" * 300, "ü😀", "../..", "{}", "[1]", "1.5", "null",
         "sha256:" + "0" * 64, "bridge", "host", "none", "default", "container:fuzz-kept", "80/tcp", "1m", "a=b", "a:b",
         "%2f", "\n", " ", "UPPER", "json-file", "2020-01-01T00:00:00Z", "SIGKILL", "linux/amd64")
NUMBERS = (0, 1, -1, 2, 10, 1 << 31, 1 << 62, -(1 << 63))
FILTERS = ("label", "name", "id", "status", "until", "dangling", "since", "before", "nosuch", "driver", "type", "event")


@dataclass(frozen=True, slots=True)
class Operation:
    """One of the specification."""

    name: str
    method: str
    path: str
    parameters: tuple[dict[str, Any], ...]


class Specification:
    """Operations, and requests for them from a seed."""

    def __init__(self, seed: int) -> None:
        self._document = json.loads(FILE.read_text())
        self._random = random.Random(seed)
        self.operations = [
            Operation(item["operationId"], method.upper(), path,
                      tuple(self._resolved(each) for each in item.get("parameters", ())))
            for path, methods in self._document["paths"].items() for method, item in methods.items()]

    def _resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            place: Any = self._document
            for part in value["$ref"].removeprefix("#/").split("/"):
                place = place[part]
            value = place
        return value

    def request(self, operation: Operation, names: dict[str, list[str]]) -> tuple[str, bytes | None]:
        """(path with query, body). ``names``: real objects by the first word of a path."""
        pick = self._random
        path = operation.path
        query: list[tuple[str, str]] = []
        body: bytes | None = None
        for parameter in operation.parameters:
            place, name = parameter["in"], parameter["name"]
            if place == "path":
                real = names.get(operation.path.split("/")[1], [])
                chosen = pick.choice(real) if real and pick.random() < 0.7 else pick.choice(WORDS) or "x"
                path = path.replace("{" + name + "}", quote(chosen, safe=""))
            elif place == "query" and (parameter.get("required") or pick.random() < 0.5):
                query.append((name, self._query(name, parameter)))
            elif place == "body" and pick.random() < 0.9:
                value = self.value(parameter["schema"], 0)
                body = json.dumps(value).encode() if pick.random() < 0.95 else b"{broken"
        return path + ("?" + urlencode(query) if query else ""), body

    def _query(self, name: str, parameter: dict[str, Any]) -> str:
        pick = self._random
        if name == "filters" and pick.random() < 0.8:
            return json.dumps({pick.choice(FILTERS): [pick.choice(WORDS)]})
        if parameter.get("enum") and pick.random() < 0.7:
            return str(pick.choice(parameter["enum"]))
        kind = parameter.get("type")
        if pick.random() < 0.15:
            kind = "string"
        if kind in ("integer", "number"):
            return str(pick.choice(NUMBERS))
        if kind == "boolean":
            return pick.choice(("0", "1", "true", "false"))
        return pick.choice(WORDS)

    def value(self, schema: dict[str, Any], depth: int) -> Any:
        """A value of a schema, now and then of another type."""
        pick = self._random
        schema = self._resolved(schema)
        if pick.random() < 0.04:
            return pick.choice((None, 1, "x", [], {}, True, -1.5, [None], {"": None}))
        if "allOf" in schema:
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                made = self.value(part, depth)
                merged |= made if isinstance(made, dict) else {}
            return merged
        if schema.get("enum"):
            return pick.choice(schema["enum"])
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return [self.value(schema.get("items", {}), depth + 1) for _ in range(pick.choice((0, 1, 1, 2)))]
        if kind in ("integer", "number"):
            return pick.choice(NUMBERS)
        if kind == "boolean":
            return pick.random() < 0.5
        return pick.choice(WORDS)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        pick = self._random
        share = 0.5 if depth == 0 else 0.25
        made = {name: self.value(inner, depth + 1) for name, inner in schema.get("properties", {}).items()
                if pick.random() < share and depth < 6}
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            made |= {pick.choice(WORDS): self.value(more, depth + 1) for _ in range(pick.choice((0, 1, 2)))}
        return made
