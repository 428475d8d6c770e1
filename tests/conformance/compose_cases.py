"""Compose projects made up in every form: from the specification's schema, from lists of odd values, by mutation.

    python tests/conformance/compose_cases.py DIRECTORY      writes them, for compose_peer.py

Each case is a directory. Nothing here is random without a seed.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parents[2] / "src/solva/compose/schema/compose-spec.json"
VALUES: dict[str, Any] = json.loads((Path(__file__).parent / "compose_values.json").read_text())
SUPPORT: dict[str, Any] = VALUES["support"]


class Writer:
    """Numbered directories below one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def case(self, group: str, *documents: Any, args: tuple[str, ...] = ("--format json",), **files: str) -> None:
        self.count += 1
        directory = self.root / f"{group}-{self.count:05d}"
        (directory / "sub").mkdir(parents=True, exist_ok=True)
        given = {key.replace("__", "."): value for key, value in files.items()}
        for name, text in {**VALUES["files"], **given}.items():
            (directory / name).write_text(text)
        for index, document in enumerate(documents):
            text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=1)
            (directory / ("compose.yaml" if index == 0 else f"compose{index}.yaml")).write_text(text)
        listed = "".join(f"-f compose{index or ''}.yaml " for index in range(len(documents)))
        rows = [f"{listed}-p proj -- {row}" for row in args]
        (directory / "args").write_text("\n".join(rows) + "\n")


def project(service: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A file with services a (as given) and b, and everything that they may refer to."""
    return {"services": {"a": {"image": "x", **service}, "b": {"image": "y"}}, **SUPPORT, **sections}


def values_of(name: str) -> list[Any]:
    """What to try for a service's attribute."""
    if name in ("ports", "volumes", "devices", "secrets", "configs"):
        more = {"ports": VALUES["long_ports"], "volumes": VALUES["long_volumes"]}.get(name, [])
        return [*([item] for item in [*VALUES["service"][name], *more]), [], "x"]
    return VALUES["service"].get(
        name, ["x", 1, True, ["x"], {"a": "b"}, None])


def properties(schema: dict[str, Any]) -> list[str]:
    return list(schema["definitions"]["service"]["properties"])


def write(root: Path) -> int:
    """All of them; how many."""
    schema = json.loads(SCHEMA.read_text())
    out = Writer(root)
    names = properties(schema)
    for name in names:
        for value in values_of(name):
            out.case(f"attr-{name}", project({name: value}))
        for wrong in (5, 1.5, True, "text", ["item"], {"k": "v"}, None, [], {}, [[]], [{}], [None], ""):
            out.case(f"type-{name}", project({name: wrong}), args=("--format json",))
    for section, values in VALUES["sections"].items():
        for value in values:
            user = {"networks": {"t": None}, "volumes": ["t:/t"]}.get(section, ["t"])
            out.case(f"section-{section}", project({section: user}, **{section: {"t": value}}),
                     args=("--format json", ""))
    _merges(out, names)
    _mutations(out)
    _interpolations(out)
    _texts(out)
    return out.count


def write_services(out: Writer) -> None:
    """Each attribute of a service in each form, one a project, and the sections; for what is asked of an engine."""
    for name in properties(json.loads(SCHEMA.read_text())):
        for value in values_of(name):
            out.case(f"attr-{name}", project({name: value}))
    for section, values in VALUES["sections"].items():
        for value in values:
            user = {"networks": {"t": None}, "volumes": ["t:/t"]}.get(section, ["t"])
            out.case(f"section-{section}", project({section: user}, **{section: {"t": value}}))
    for value in VALUES["engine"]:
        out.case("engine", project(value))


def _merges(out: Writer, names: list[str]) -> None:
    chance = random.Random(4)
    for name in names:
        values = [value for value in values_of(name) if value is not None]
        pairs = list(itertools.product(values, values))
        for base, over in chance.sample(pairs, min(14, len(pairs))):
            out.case(f"merge-{name}", project({name: base}), {"services": {"a": {name: over}}})
        for base in chance.sample(values, min(3, len(values))):
            out.case(f"extend-{name}", {**project({"extends": "b"}), "services": {
                "a": {"extends": "b", name: chance.choice(values)}, "b": {"image": "y", name: base}}})
            out.case(f"reset-{name}", project({name: base}), f"services:\n  a:\n    {name}: !reset null\n")
            out.case(f"override-{name}", project({name: base}),
                     f"services:\n  a:\n    {name}: !override {json.dumps(chance.choice(values))}\n")
    for section, values in VALUES["sections"].items():
        for base, over in chance.sample(list(itertools.product(values, values)), 20):
            out.case(f"merge-{section}", {"services": {"a": {"image": "x"}}, section: {"t": base}},
                     {section: {"t": over}})


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _places(item, (*path, key))
    return found


def _set(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {**value, path[0]: _set(value[path[0]], path[1:], new)}
    return [*value[:path[0]], _set(value[path[0]], path[1:], new), *value[path[0] + 1:]]


RICH = project({
    "command": ["a", "b"], "environment": {"A": "1"}, "ports": ["80:80", {"target": 81}],
    "volumes": ["v1:/a", VALUES["long_volumes"][15]], "healthcheck": {"test": ["CMD", "x"], "interval": "5s"},
    "deploy": VALUES["service"]["deploy"][9], "networks": {"n1": {"aliases": ["q"]}},
    "depends_on": {"b": {"condition": "service_healthy"}},
    "build": {"context": ".", "args": {"A": "1"}, "secrets": ["s1"]},
    "logging": {"driver": "json-file", "options": {"a": "b"}}, "secrets": ["s1", {"source": "s2", "target": "t"}],
    "ulimits": {"nofile": {"soft": 1, "hard": 2}}, "develop": VALUES["service"]["develop"][10], "labels": ["a=b"]})


def _mutations(out: Writer) -> None:
    chance = random.Random(5)
    junk = [None, 5, -1, 1.5, True, "", "text", "x y", [], {}, ["x"], {"k": "v"}, [[1]], {"image": "x"},
            "9" * 30, "$$", "${", "${A:?b}"]
    for path in _places(RICH):
        for new in chance.sample(junk, 4):
            out.case("mutate", _set(RICH, path, new))
    for path in _places(RICH):
        inside = RICH
        for part in path:
            inside = inside[part]
        if isinstance(inside, dict):
            out.case("unknown", _set(RICH, path, {**inside, "unknwon": 1}))
            out.case("extension", _set(RICH, path, {**inside, "x-more": {"a": [1]}}), args=("--format json", ""))


def _interpolations(out: Writer) -> None:
    for template in VALUES["templates"]:
        out.case("interp", project({"command": [template], "labels": {"l": template}}),
                 args=("--format json", "--variables", "--no-interpolate"),
                 __env="E=\n")
    for name, values in VALUES["casts"].items():
        for value in values:
            out.case("cast", project({name: f"${{NO:-{value}}}"}))
    out.case("cast", project({"ports": [{"target": "${NO:-80}"}, "${NO:-81}:${NO:-82}"],
                              "ulimits": {"nofile": "${NO:-5}"}}))


def _texts(out: Writer) -> None:
    for text in VALUES["texts"]:
        out.case("yaml", text, args=("--format json", ""))
    for flag in VALUES["flags"]:
        out.case("flags", RICH, args=(flag,))
        out.case("flags", project({"profiles": ["p"], "env_file": "e.env", "label_file": "l.lab",
                                   "environment": ["Q=$HOME"]}), args=(flag,))
    for text in VALUES["strings"]:
        labels = {text or "k": "v"} if text.isprintable() else {}
        out.case("dump", project({"environment": {"K": text}, "labels": labels}), args=("",))


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
