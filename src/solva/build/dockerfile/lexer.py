"""Physical lines to logical lines: parser directives, comments, continuations, heredocs.

Facts of the language (seen on BuildKit): a comment line inside a continued instruction vanishes, an empty one too
(with a warning); blanks after the escape character do not matter; an escape at the very end of the file is harmless.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from solva.build.dockerfile.ast import DockerfileError, Heredoc, Lines
from solva.build.dockerfile.words import split_words

_DIRECTIVE = re.compile(r"^#[ \t]*([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(.+?)[ \t]*$")
_HEREDOC = re.compile(r"^(\d*)<<(-?)([^<]+)$")
_KNOWN_DIRECTIVES = ("syntax", "escape", "check")
_WITH_HEREDOC = ("ADD", "COPY", "RUN")
MAX_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One instruction's text, its heredocs, and where it stood."""

    text: str
    heredocs: tuple[Heredoc, ...]
    lines: Lines
    empty_continuation: bool = False


@dataclass(slots=True)
class Lexed:
    """What ``lex`` gives."""

    lines: list[LogicalLine]
    escape: str
    directives: dict[str, str]


def lex(text: str) -> Lexed:
    """Split a whole Dockerfile. Raises DockerfileError."""
    physical = text.removeprefix("\ufeff").split("\n")
    physical = [line[:-1] if line.endswith("\r") else line for line in physical]
    for number, line in enumerate(physical, 1):
        if len(line) > MAX_LINE:
            raise DockerfileError(f"dockerfile line greater than maximum allowed size of {MAX_LINE - 1}", number)
    directives, start = _directives(physical)
    escape = directives.get("escape", "\\")
    return Lexed(list(_logical(physical, start, escape)), escape, directives)


def _directives(physical: list[str]) -> tuple[dict[str, str], int]:
    """The directives at the top, and the index of the first line that is none."""
    found: dict[str, str] = {}
    index = 0
    for index, line in enumerate(physical):
        match = _DIRECTIVE.match(line.strip())
        key = match[1].lower() if match else ""
        if match is None or key not in _KNOWN_DIRECTIVES:
            return found, index
        if key in found:
            raise DockerfileError(f"only one {key} parser directive can be used", index + 1)
        found[key] = match[2]
        if key == "escape" and match[2] not in ("\\", "`"):
            raise DockerfileError(f"invalid escape token '{match[2]}' does not match ` or \\", index + 1)
    return found, index + 1


def _logical(physical: list[str], index: int, escape: str) -> Iterator[LogicalLine]:
    continuation = re.compile(rf"([^{re.escape(escape)}])?{re.escape(escape)}[ \t]*$")
    total = len(physical)
    while index < total:
        first = index
        line = physical[index].lstrip()
        index += 1
        if not line or line.startswith("#"):
            continue
        joined = ""
        empty = False
        while True:
            match = continuation.search(line)
            if match is None or (match.start() > 0 and match[1] is None):
                joined += line
                break
            joined += line[:match.start()] + (match[1] or "")
            while index < total and (not physical[index].strip() or physical[index].lstrip().startswith("#")):
                if not physical[index].strip() and any(rest.strip() for rest in physical[index:]):
                    empty = True
                index += 1
            if index >= total:
                break
            line = physical[index]
            index += 1
        if not joined.strip():
            continue
        heredocs, index = _heredocs(joined, physical, index, escape, first + 1)
        last = index if heredocs else _last_used(physical, first, index)
        yield LogicalLine(joined.strip(), tuple(heredocs), Lines(first + 1, last), empty)


def _last_used(physical: list[str], first: int, end: int) -> int:
    """The number of the last line of ``first..end`` that is neither empty nor a comment."""
    while end - 1 > first and (not physical[end - 1].strip() or physical[end - 1].lstrip().startswith("#")):
        end -= 1
    return end


def _heredocs(line: str, physical: list[str], index: int, escape: str, at: int) -> tuple[list[Heredoc], int]:
    """Read the bodies of the heredocs that ``line`` announces; also the index after them."""
    found: list[Heredoc] = []
    for head in heredoc_heads(line, escape):
        body: list[str] = []
        while True:
            if index >= len(physical):
                raise DockerfileError("unterminated heredoc", at)
            text = physical[index]
            index += 1
            if head.chomp:
                text = text.lstrip("\t")
            if text == head.name:
                break
            body.append(text + "\n")
        found.append(Heredoc(head.name, "".join(body), head.expand, head.chomp, head.fd))
    return found, index


def heredoc_heads(line: str, escape: str) -> list[Heredoc]:
    """The heredocs announced in a line of RUN, COPY or ADD (or ONBUILD of them), without bodies."""
    name, _, rest = line.partition(" ")
    if name.upper() == "ONBUILD":
        name, _, rest = rest.strip().partition(" ")
    if name.upper() not in _WITH_HEREDOC or "<<" not in rest:
        return []
    try:
        words = split_words(rest, escape)
    except DockerfileError:
        return []       # a quote left open in a shell command is the shell's business
    heads = (parse_heredoc(word, escape) for word in words)
    return [head for head in heads if head is not None]


def parse_heredoc(word: str, escape: str = "\\") -> Heredoc | None:
    """``<<EOF``, ``3<<-"EOF"`` as a Heredoc with an empty body, or None when ``word`` is something else."""
    match = _HEREDOC.match(word)
    if match is None:
        return None
    raw = match[3]
    name = re.sub(r"""["']""", "", raw).replace(escape, "")
    if not name or name != name.strip():
        return None
    return Heredoc(name, "", expand=name == raw, chomp=bool(match[2]), fd=int(match[1][:6] or 0))
