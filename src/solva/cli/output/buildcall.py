"""Answers about a Dockerfile (``--check``, ``--call=outline|targets``) as text, as Docker lays them out."""

from __future__ import annotations

from solva.cli.output.table import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def text_of(call: str, value: dict[str, Any]) -> str:
    """The whole answer without its last line break."""
    if call in ("check", "lint"):
        return _check(value)
    return _targets(value) if call == "targets" else _outline(value)


def _check(value: dict[str, Any]) -> str:
    warnings, error = value.get("warnings") or [], value.get("buildError")
    if not warnings and not error:
        return "Check complete, no warnings found."
    sources = value.get("sources") or []
    parts = []
    if warnings:
        count = len(warnings)
        parts.append("Check complete, " + ("1 warning has been found!" if count == 1 else
                                           f"{count} warnings have been found!"))
    for warning in warnings:
        parts.append(f"WARNING: {warning['ruleName']} - {warning['url']}\n{warning['detail']}\n"
                     + _lines(warning.get("location") or {}, sources))
    if error:
        parts.append(f"ERROR: {error.get('message', '')}\n" + _lines(error.get("location") or {}, sources))
    return "\n\n".join(part.rstrip("\n") for part in parts)


def _lines(location: dict[str, Any], sources: list[dict[str, Any]]) -> str:
    import base64

    ranges = location.get("ranges") or []
    if not ranges or not sources:
        return ""
    source = sources[int(location.get("sourceIndex", 0))]
    text = base64.b64decode(source.get("data") or "").decode("utf-8", "replace").split("\n")
    first, last = ranges[0]["start"]["line"], ranges[-1]["end"]["line"]
    rows = [f"{source.get('filename', 'Dockerfile')}:{first}", "-" * 20]
    for number in range(max(1, first - 2), min(len(text), last + 2) + 1):
        rows.append(f" {number:3d} | {'>>>' if first <= number <= last else '   '} {text[number - 1]}")
    return "\n".join([*rows, "-" * 20])


def _targets(value: dict[str, Any]) -> str:
    rows = [["TARGET", "DESCRIPTION"]]
    for target in value.get("targets") or []:
        name = target.get("name") or "(unnamed)"
        rows.append([f"{name} (default)" if target.get("default") else name, target.get("description", "")])
    return "\n".join(align(rows))


def _outline(value: dict[str, Any]) -> str:
    parts = []
    if value.get("name"):
        parts.append(f"TARGET: {value['name']}\nDESCRIPTION: {value.get('description', '')}")
    tables = (("args", ("BUILD ARG", "VALUE", "DESCRIPTION"), ("name", "value", "description")),
              ("secrets", ("SECRET", "REQUIRED"), ("name", "required")),
              ("ssh", ("SSH", "REQUIRED"), ("name", "required")))
    for key, heads, columns in tables:
        if value.get(key):
            rows = [list(heads)] + [[str(row.get(column, "")).replace("True", "true") for column in columns]
                                    for row in value[key]]
            parts.append("\n".join(align(rows)))
    return "\n\n".join(parts)
