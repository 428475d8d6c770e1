"""Whether a file has the shape of a compose file; errors name file, line, column and the nearest valid key."""

from __future__ import annotations

from solva.compose.attributes import resources
from solva.compose.attributes.shapes import Problem, check, descend
from solva.compose.attributes.units import boolean, integer, number
from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.yaml import Document

_CASTS = {"boolean": boolean, "integer": integer, "number": number}


def validate(value: Any, document: Document) -> None:
    """ComposeError unless ``value``, the content of ``document``, fits."""
    try:
        check(resources.FILE, value)
    except Problem as problem:
        place = document.place(problem.path)
        key = problem.path[:-1] if str(problem).startswith("additional properties") else problem.path
        dotted = ".".join(map(str, key))
        raise ComposeError(f"validating {place}: {dotted} {problem}") from None


def cast(path: tuple[Any, ...], text: str) -> Any:
    """A string at ``path`` of a compose file as the type its attribute wants. ValueError in Docker's words."""
    if len(path) < 3:
        return text
    scalar = descend(resources.FILE, path, 0)
    if scalar is None:
        return text
    value = _CASTS[scalar.cast](text)
    return int(value) if isinstance(value, float) and value.is_integer() and "." not in text else value
