"""What a Dockerfile offers, for ``docker build --call=outline|targets|check``: JSON objects as BuildKit's frontend
gives them (subrequests version 1)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from solva.build.dockerfile.ast import Dockerfile, Node
from solva.build.dockerfile.words import split_words
from solva.build.graph import PlannedStage, needed
from solva.build.instructions.arg import Arg
from solva.build.instructions.run import Run
from solva.build.lint.check import Report
from solva.build.lint.file_rules import words_of

Json = dict[str, Any]


def location(first: int, last: int = 0) -> Json:
    return {"ranges": [{"start": {"line": first}, "end": {"line": last or first}}]}


def lint(report: Report, name: str, text: bytes, error: Json | None) -> Json:
    """``frontend.lint``; ``error``: why the file cannot be built at all."""
    rows = [{"ruleName": warning.rule.name, "description": warning.rule.description, "url": warning.rule.url,
             "detail": warning.detail, "location": location(warning.line, warning.last)} for warning in report.warnings]
    found: Json = {"warnings": rows, "sources": [{"filename": name, "language": "Dockerfile",
                                                  "data": base64.b64encode(text).decode()}]}
    if error is not None:
        found["buildError"] = error
    elif report.fatal:
        found["buildError"] = {"message": violation(report), "location": {}}
    return found


def violation(report: Report) -> str:
    """The error of a file that asks for warnings to be errors."""
    return f"lint violation found for rules: {', '.join(report.fatal)}"


def targets(parsed: Dockerfile, text: bytes) -> Json:
    """``frontend.targets``: the stages, as written."""
    heads = [node for node in parsed.nodes if node.name == "FROM"]
    comments = _comments(text)
    rows = []
    for index, node in enumerate(heads):
        image, _, name = words_of(node)
        row: Json = {"base": image, "location": location(node.lines.first, node.lines.last)}
        if name:
            row["name"] = name.lower()
            row |= _described(comments, node, name)
        platform = next((flag.partition("=")[2] for flag in node.flags if flag.startswith("--platform=")), "")
        if platform:
            row["platform"] = platform
        if index == len(heads) - 1:
            row["default"] = True
        rows.append(row)
    return {"targets": rows, "sources": [base64.b64encode(text).decode()]}


def outline(parsed: Dockerfile, stages: Sequence[PlannedStage], target: int, given: Mapping[str, str | None],
            text: bytes) -> Json:
    """``frontend.outline``: arguments, secrets and agents of all that the target needs."""
    comments = _comments(text)
    found: Json = {}
    name = stages[target].from_.name
    if name:
        found["name"] = name
        found |= _described(comments, stages[target].from_.node, name)
    arguments: dict[str, Json] = {}
    secrets: dict[str, Json] = {}
    agents: dict[str, Json] = {}
    defaults = {key: row for node in parsed.nodes[:_first_stage(parsed)] if node.name == "ARG"
                for key, row in _arguments(node, given, comments).items()}
    for index in needed(list(stages), target):
        for command in stages[index].commands:
            if isinstance(command, Arg):
                for key, row in _arguments(command.node, given, comments).items():
                    if "value" not in row and key in defaults:
                        row = defaults[key]
                    arguments.setdefault(key, row)
            elif isinstance(command, Run):
                for mount in command.mounts:
                    kinds = {"secret": secrets, "ssh": agents}.get(mount.kind)
                    if kinds is not None:
                        row = {"name": mount.id, **({"required": True} if mount.required else {}),
                               "location": location(command.node.lines.first, command.node.lines.last)}
                        kinds.setdefault(mount.id, row)
    arguments = {key: arguments[key] for key in (*(key for key in defaults if key in arguments), *arguments)}
    found |= {key: list(rows.values()) for key, rows in
              (("args", arguments), ("secrets", secrets), ("ssh", agents)) if rows}
    return {**found, "sources": [base64.b64encode(text).decode()]}


def _first_stage(parsed: Dockerfile) -> int:
    return next((index for index, node in enumerate(parsed.nodes) if node.name == "FROM"), len(parsed.nodes))


def _arguments(node: Node, given: Mapping[str, str | None], comments: Mapping[int, str]) -> dict[str, Json]:
    rows = {}
    for word in split_words(node.rest, node.escape):
        name, equals, value = word.partition("=")
        row: Json = {"name": name, **_described(comments, node, name)}
        actual = given.get(name, value if equals else None)
        if actual is not None:
            row["value"] = actual
        row["location"] = location(node.lines.first, node.lines.last)
        rows[name] = row
    return rows


def _comments(text: bytes) -> dict[int, str]:
    """Comment lines by their number."""
    rows = text.decode("utf-8", "replace").splitlines()
    return {number: row.lstrip()[1:].strip() for number, row in enumerate(rows, 1) if row.lstrip().startswith("#")}


def _described(comments: Mapping[int, str], node: Node, name: str) -> Json:
    """The comment right above, where it begins with the name."""
    first, _, rest = comments.get(node.lines.first - 1, "").partition(" ")
    return {"description": rest.strip()} if first == name and rest.strip() else {}
