"""``config --explain VAR``: what a variable is while files are read, who says so, who is not heard, who uses it."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError
from solva.compose.load import dotenv
from solva.compose.load.interpolate import BadTemplate, MissingVariable, substitute, uses
from solva.compose.load.tree import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from solva.compose.load.lookup import Location
    from solva.compose.load.options import LoadOptions
    from solva.compose.load.tree import Path
    from solva.compose.load.yaml import Document


class Source:
    """One place that gives a variable a value. ``where``: ``file:line`` or words."""

    __slots__ = ("value", "where")

    def __init__(self, where: str, value: str) -> None:
        self.where = where
        self.value = value


def explain(name: str, location: Location, process: Mapping[str, str], options: LoadOptions) -> str:
    """A few lines for a person."""
    sources = _sources(name, location, process, options)
    problem = ""
    services: dict[str, Any] = {}
    try:
        services = _services(location, options)
    except ComposeError as error:
        problem = str(error)
    lines = [f"{name}={sources[0].value}" if sources else f"{name} is not set"]
    for index, source in enumerate(sources):
        lines.append(f"  {'from   ' if index == 0 else 'shadows'} {source.where}"
                     + (f"  {name}={source.value}" if index else ""))
    used = list(_uses(name, options))
    lines += [f"  used    {line}" for line in used]
    if not used:
        lines.append("  used    by none of the files")
    lines += [f"  note    {line}" for line in _containers(name, services)]
    if problem:
        lines.append(f"  error   {problem}")
    return "\n".join(lines) + "\n"


def _sources(name: str, location: Location, process: Mapping[str, str], options: LoadOptions) -> list[Source]:
    """Who gives ``name`` a value, the one that is heard first."""
    found: list[Source] = []
    if name == "COMPOSE_PROJECT_NAME":
        found.append(Source("the project's name", options.name))
    if name in process:
        found.append(Source("the environment of this command", process[name]))
    for file in reversed(location.env_files):
        found += _in_file(name, file, location.environment)
    return found


def _in_file(name: str, file: str, environment: Mapping[str, str]) -> list[Source]:
    with open(file, encoding="utf-8-sig", newline="") as stream:
        parser = dotenv.Parser(stream.read(), environment, {}, lambda _: None, file)
    values = parser.parse()
    return [Source(f"{file}:{parser.lines[name]}", values[name])] if name in values else []


def _services(location: Location, options: LoadOptions) -> dict[str, Any]:
    from solva.compose.load.pipeline import decoded, load_content

    return dict(decoded(load_content(location.files, options), options)["services"])


def _uses(name: str, options: LoadOptions) -> Iterator[str]:
    """``file:line:column path template -> value`` of each use in any file read."""
    for document in options.places.every:
        for path, text in _strings(document.value, ()):
            if any(use.name == name for use in uses(text)):
                yield f"{_at(document, path)}  {dotted(path)}: {_short(text)} -> {_short(_result(text, options))}"


def _at(document: Document, path: Path) -> str:
    return document.place(path)


def _short(text: str) -> str:
    line = text if "\n" not in text else text.replace("\n", "\\n")
    return line if len(line) <= 72 else f"{line[:69]}..."


def _result(text: str, options: LoadOptions) -> str:
    try:
        return substitute(text, options.environment, lambda _: None)
    except (BadTemplate, MissingVariable) as error:
        return f"error: {error}"


def _strings(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _strings(item, (*path, key))
    if isinstance(value, str) and "$" in value:
        yield path, value


def _containers(name: str, services: dict[str, Any]) -> Iterator[str]:
    """What services' containers get under that name, which files do not."""
    for service, entry in sorted(services.items()):
        given = (entry.get("environment") or {}).get(name)
        if given is not None:
            yield f"service {service}: its container gets {name}={given} (environment)"
        for item in entry.get("env_file") or ():
            if not os.path.isfile(item["path"]) or item.get("format") == "raw":
                continue
            for source in _in_file(name, item["path"], {}):
                heard = "which `environment` overrides" if given is not None else "for its container alone"
                yield (f"{source.where} sets {name}={source.value} for service {service}, {heard}: "
                       "env_file is not used for interpolation")
