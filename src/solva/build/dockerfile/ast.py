"""What the parser gives: instructions as written, each with the lines it stands on. No meaning yet."""

from dataclasses import dataclass, field

from solva.errors import InvalidParameter


class DockerfileError(InvalidParameter):
    """A Dockerfile that cannot be understood; the message begins with the line."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"dockerfile parse error on line {line}: {message}" if line else message)
        self.bare = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Lines:
    """A range of lines of the Dockerfile, from 1, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One ``<<NAME`` document. ``expand``: the name was not quoted; ``chomp``: ``<<-``, tabs are gone."""

    name: str
    content: str
    expand: bool
    chomp: bool
    fd: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction.

    ``rest``: everything after the name and the flags, continuation lines joined, heredoc bodies left out.
    ``json``: the words when ``rest`` is a JSON array of strings and the instruction takes that form, else None.
    ``original``: the logical line as written (continuations joined). ``empty_continuation``: an empty line stood
    between them.
    """

    name: str
    flags: tuple[str, ...]
    rest: str
    json: tuple[str, ...] | None
    heredocs: tuple[Heredoc, ...]
    lines: Lines
    original: str
    escape: str = "\\"
    empty_continuation: bool = False

    def error(self, message: str) -> DockerfileError:
        return DockerfileError(message, self.lines.first)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed file: its instructions in order and what its first comments asked for."""

    nodes: tuple[Node, ...]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)
