"""What all instructions share: the Command protocol and the checks of their syntax.

A new instruction is a file here with ``parse(node) -> Command`` and a line in ``registry.py``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from solva.build.dockerfile.ast import DockerfileError, Node
from solva.build.dockerfile.words import split_words

if TYPE_CHECKING:
    from solva.build.stage import Stage


class Command(Protocol):
    """An instruction whose syntax has been checked."""

    @property
    def node(self) -> Node:
        """Where it stands."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """Stages or images it reads files of, as written (``COPY --from``, ``RUN --mount=from=``)."""
        ...

    async def apply(self, stage: Stage) -> None:
        """Do it: change the stage's configuration, add a layer. Words are expanded now."""
        ...


def flags_of(node: Node, values: Iterable[str] = (), switches: Iterable[str] = (),
             several: Iterable[str] = ()) -> dict[str, list[str]]:
    """The instruction's flags by name. ``switches`` need no value. DockerfileError for others and for duplicates."""
    values, switches, several = tuple(values), tuple(switches), tuple(several)
    known = (*values, *switches, *several)
    found: dict[str, list[str]] = {}
    for flag in node.flags:
        name, equals, value = flag[2:].partition("=")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.3)
            raise node.error(f"unknown flag: --{name}" + (f" (did you mean {near[0]}?)" if near else ""))
        if name in found and name not in several:
            raise node.error(f"Duplicate flag specified: {name}")
        if not equals and name not in switches:
            raise node.error(f"Missing a value on flag: {name}")
        if name in switches:
            value = value.lower() if equals else "true"
            if value not in ("true", "false"):
                raise node.error(f"Expecting boolean value for flag {name}, not: {value}")
        found.setdefault(name, []).append(value)
    return found


def switch(found: dict[str, list[str]], name: str) -> bool:
    """Whether a switch of ``flags_of`` is on."""
    return found.get(name) == ["true"]


def no_flags(node: Node) -> None:
    flags_of(node)


def exactly_one(node: Node) -> str:
    """The one argument, blanks within kept."""
    no_flags(node)
    if not node.rest:
        raise node.error(f"{node.name} requires exactly one argument")
    return node.rest


def command_line(node: Node, shell: tuple[str, ...] | None) -> tuple[str, ...]:
    """CMD's and ENTRYPOINT's words: JSON as it is, anything else behind the shell."""
    if node.json is not None:
        return node.json
    return (*(shell or ()), node.rest)


def name_values(node: Node) -> list[tuple[str, str]]:
    """ENV's and LABEL's pairs, quotes and variables still in them; the old ``ENV name value`` form too."""
    no_flags(node)
    words = split_words(node.rest, node.escape)
    if not words:
        raise node.error(f"{node.name} requires at least one argument")
    if "=" not in words[0]:
        parts = node.rest.split(None, 1)
        if len(parts) < 2:
            raise node.error(f"{node.name} must have two arguments")
        return [(parts[0], parts[1].rstrip())]
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise node.error(f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value')
        if not name:
            raise node.error(f"{node.name} names can not be blank")
        pairs.append((name, value))
    return pairs


def quoted(text: str) -> str:
    """Go's %q."""
    return json.dumps(text, ensure_ascii=False)


def quoted_list(words: Iterable[str]) -> str:
    """Go's %q of a slice: ``["a" "b"]``."""
    return "[" + " ".join(quoted(word) for word in words) + "]"


def expanding(node: Node, word: str, error: DockerfileError) -> DockerfileError:
    """The error of an expansion, in Docker's words and with the line."""
    return node.error(f"failed to process {quoted(word)}: {error.bare}")
