"""docs/compose/attributes.md from the rows: each attribute of a service, what it holds, and its effect or the reason.

    python tools/compose_attributes.py            writes the page
    python tools/compose_attributes.py --check    fails when it is not what the rows say

The effect is seen, not written down: what the attribute alone changes in the request for a container.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from solva.compose.attributes import convert
from solva.compose.attributes.resources import SECTIONS
from solva.compose.attributes.service import ATTRIBUTES, UNUSED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/compose/attributes.md"
HEAD = """<!-- made by tools/compose_attributes.py from the rows in src/solva/compose/attributes; edit those -->

# Attributes of a compose file

Every property of the Compose Specification's schema that Docker Compose 2.40 has is read (`src/solva/compose/schema`),
and those of later releases that Solva does: `pre_start` and `build.no_cache_filter`. An attribute either changes what
is asked of the engine, shown here as the field of `POST /containers/create`, or has a reason to change nothing there.

## Services

| attribute | holds | effect |
|---|---|---|
"""


def tests() -> Any:
    """The module that sees every attribute's effect."""
    file = ROOT / "tests/unit/compose/test_compose_schema.py"
    spec = importlib.util.spec_from_file_location("test_compose_schema", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fields(convert_: Any) -> str:
    """The names inside an attribute."""
    while isinstance(convert_, convert.Items | convert.TableOf):
        convert_ = convert_.of
    if not isinstance(convert_, convert.Record):
        return ""
    found = []
    for name, inner in sorted(convert_.fields.items()):
        below = fields(inner)
        found.append(f"{name} ({below})" if below else name)
    return ", ".join(found)


def changed(before: Any, after: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict) and path in ("", "HostConfig"):
        return [place for key in sorted({*before, *after}) if before.get(key) != after.get(key)
                for place in changed(before.get(key), after.get(key), f"{path}.{key}" if path else key)]
    return [path]


def effect(module: Any, name: str) -> str:
    row = ATTRIBUTES[name]
    if row.note:
        return row.note
    if name == "use_api_socket":
        return "a bind of the socket, `DOCKER_CONFIG`, and the user's credentials in /run/secrets/docker/config.json"
    value = module.SAMPLES.get(name)
    if name == "network_mode":
        return "`HostConfig.NetworkMode`"
    if value is None:
        value = next(sample for sample in (True, 5, "5", ["x"]) if module.accepts(row, sample))
    places = changed(module.request({}), module.request({name: value}))
    return ", ".join(f"`{place}`" for place in sorted(places))


def page() -> str:
    module = tests()
    lines = [HEAD]
    for name in sorted(ATTRIBUTES):
        lines.append(f"| `{name}` | {fields(ATTRIBUTES[name].convert)} | {effect(module, name)} |\n")
    lines += [f"| `{name}` | | none: {why} |\n" for name, why in sorted(UNUSED.items())]
    lines.append("\nInside attributes these change nothing in the request:\n\n| attribute | why |\n|---|---|\n")
    lines += [f"| `{name}` | {why} |\n" for name, why in sorted(module.REASONS.items()) if "." in name]
    lines.append("\n## Sections\n\n| section | attribute | holds | note |\n|---|---|---|---|\n")
    for section, rows in SECTIONS.items():
        lines += [f"| {section} | `{row.name}` | {fields(row.convert)} | {row.note} |\n" for row in rows.values()
                  if (section, row.name) != ("secrets", "content")]
    return "".join(lines)


def main(argv: list[str]) -> int:
    text = page()
    if "--check" in argv:
        return 0 if PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
