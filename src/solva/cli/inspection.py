"""`inspect` in all its forms: objects as an indented JSON list, or each through a template."""

from __future__ import annotations

import sys

from solva.cli.errors import CommandError
from solva.cli.output.gojson import compact, indented
from solva.errors import NotFound, SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def show_objects(names: Iterable[str], fetch: Callable[[str], Any], format: str) -> int:
    """Print what ``fetch`` returns for each name; 1, with the messages, when some could not be had."""
    from solva.cli.session import response_error, warn
    from solva.client.transport import EngineUnreachable

    found: list[Any] = []
    failures: list[str] = []
    for name in names:
        try:
            found.append(fetch(name))
        except EngineUnreachable:
            raise
        except NoSuchObject as error:
            failures.append(str(error))
        except SolvaError as error:
            failures.append(response_error(error))
    _print(found, format)
    for text in failures:
        warn(text)
    return int(bool(failures))


class NoSuchObject(CommandError):
    """No object of any kind has the name."""


def first_of(name: str, ways: Iterable[Callable[[str], Any]]) -> Any:
    """The first way's answer that is not "not found"."""
    for way in ways:
        try:
            return way(name)
        except NotFound:
            continue
    raise NoSuchObject(f"Error: No such object: {name}")


def _print(found: list[Any], format: str) -> None:
    out = sys.stdout
    if not format:
        out.write(indented(found) + "\n" if found else "[]\n")
    elif format == "json":
        out.write(compact(found) + "\n")
    else:
        from solva.cli.output.template import Template, TemplateError

        try:
            template = Template(format)
            for value in found:
                out.write(template.render(value) + "\n")
        except TemplateError as error:
            if error.status == 1:
                out.write("\n")
            raise error.begun("template parsing error") from None
