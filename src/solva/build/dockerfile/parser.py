"""Logical lines to instructions: name, flags, JSON or shell form. What an instruction means is in ``instructions/``."""

import json
import re

from solva.build.dockerfile.ast import Dockerfile, DockerfileError, Lines, Node
from solva.build.dockerfile.lexer import LogicalLine, lex

NAMES = ("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
         "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
_JSON_FORM = frozenset(("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"))
_BLANK = re.compile(r"[ \t\v\f\r]+")


def parse(text: str | bytes) -> Dockerfile:
    """Parse a whole Dockerfile. Raises DockerfileError (an InvalidParameter) and nothing else."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    lexed = lex(text)
    if not lexed.lines:
        raise DockerfileError("file with no instructions")
    nodes = tuple(parse_line(line, lexed.escape) for line in lexed.lines)
    return Dockerfile(nodes, lexed.escape, lexed.directives)


def parse_trigger(text: str, escape: str = "\\", lines: Lines | None = None) -> Node:
    """An ONBUILD trigger as stored in an image, or what follows ONBUILD in a file."""
    lexed = lex(text)
    if len(lexed.lines) != 1:
        raise DockerfileError(f"ONBUILD trigger is not one instruction: {text[:80]}", lines.first if lines else 0)
    line = lexed.lines[0]
    return parse_line(LogicalLine(line.text, line.heredocs, lines or line.lines), escape)


def parse_line(line: LogicalLine, escape: str) -> Node:
    """One logical line as an instruction."""
    name, _, rest = _split_name(line.text)
    upper = name.upper()
    if upper not in NAMES:
        raise DockerfileError(f"unknown instruction: {name}{_suggestion(upper)}", line.lines.first)
    flags, rest = _flags(rest, escape, line.lines.first)
    words = _json(rest, line.lines.first) if upper in _JSON_FORM else None
    if upper == "HEALTHCHECK":
        words = _healthcheck_json(rest, line.lines.first)
    return Node(upper, flags, rest, words, line.heredocs, line.lines, line.text, escape, line.empty_continuation)


def _split_name(text: str) -> tuple[str, str, str]:
    match = _BLANK.search(text)
    if match is None:
        return text, "", ""
    return text[:match.start()], " ", text[match.end():].strip()


def _suggestion(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, NAMES, 1, 0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def _flags(rest: str, escape: str, line: int) -> tuple[tuple[str, ...], str]:
    """The ``--x=y`` words at the head of ``rest``, quotes removed, and what follows them."""
    flags: list[str] = []
    index = 0
    while rest.startswith("--", index):
        word = ""
        quote = ""
        end = index
        while end < len(rest) and (quote or not rest[end].isspace()):
            char = rest[end]
            end += 1
            if char == escape and quote != "'" and end < len(rest):
                word += rest[end]
                end += 1
            elif quote and char == quote:
                quote = ""
            elif not quote and char in "'\"":
                quote = char
            else:
                word += char
        if quote:
            raise DockerfileError(f"unexpected end of statement while looking for the closing quote of {word!r}", line)
        while end < len(rest) and rest[end].isspace():
            end += 1
        index = end
        if word == "--":
            break
        flags.append(word)
    return tuple(flags), rest[index:]


def _json(rest: str, line: int) -> tuple[str, ...] | None:
    """``rest`` as a JSON array of strings; None when it is not JSON at all."""
    if not rest.startswith("["):
        return None
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list):
        return None
    for item in value:
        if not isinstance(item, str):
            raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only", line)
    return tuple(value)


def _healthcheck_json(rest: str, line: int) -> tuple[str, ...] | None:
    kind, _, command = _split_name(rest)
    return _json(command, line) if kind.upper() == "CMD" else None
