"""Subrequests of the Dockerfile frontend: ``docker build --call=check|outline|targets``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from solva.api.types.build import BuildOptions
from solva.build.arguments import Arguments
from solva.build.builder import target_of
from solva.build.dockerfile.ast import Dockerfile, DockerfileError
from solva.build.dockerfile.parser import parse
from solva.build.graph import plan
from solva.build.ignore import Ignore
from solva.build.lint import outline
from solva.build.lint.check import Report, check
from solva.build.platforms import host_platform
from solva.build.stagestate import DEFAULT_PATH
from solva.errors import InvalidParameter

_VERSION = "1.0.0"
_ALL = (("frontend.subrequests.describe", "List available subrequest types"),
        ("frontend.outline", "List all parameters current build target supports"),
        ("frontend.targets", "List all targets current build supports"),
        ("frontend.lint", "Lint a Dockerfile"))


def answer(request: str, options: BuildOptions, text: bytes, excluded: Sequence[str]) -> dict[str, bytes]:
    """The result's metadata. InvalidParameter for a request that there is not."""
    if request == "frontend.subrequests.describe":
        rows = [{"name": name, "version": _VERSION, "type": "rpc", "description": description}
                for name, description in _ALL]
        return _result(rows, "\n".join(f"{name}: {description}" for name, description in _ALL))
    parsed = parse(text)
    if request == "frontend.lint":
        return _lint(parsed, options, text, excluded)
    if request == "frontend.targets":
        return _result(outline.targets(parsed, text), "")
    if request == "frontend.outline":
        stages = plan(parsed, Arguments(options, host_platform()), options)
        return _result(outline.outline(parsed, stages, target_of(stages, options.target), options.build_args, text), "")
    raise InvalidParameter(f"unsupported request {request!r}")


def _lint(parsed: Dockerfile, options: BuildOptions, text: bytes, excluded: Sequence[str]) -> dict[str, bytes]:
    error = None
    report = Report(())
    try:
        report = check(parsed, text.decode("utf-8", "replace"), arguments=options.build_args,
                       base_env={"PATH": DEFAULT_PATH}, ignore=Ignore(excluded))
        target_of(plan(parsed, Arguments(options, host_platform()), options), options.target)
    except DockerfileError as problem:
        error = {"message": problem.bare, "location": outline.location(problem.line) if problem.line else {}}
    found = _result(outline.lint(report, options.dockerfile, text, error),
                    "\n".join(str(warning) for warning in report.warnings))
    if report.warnings or error:
        found["result.statuscode"] = b"1"
    return found


def _result(value: Any, text: str) -> dict[str, bytes]:
    return {"result.json": json.dumps(value, indent=2).encode(), "result.txt": (text + "\n").encode(),
            "version": _VERSION.encode()}
