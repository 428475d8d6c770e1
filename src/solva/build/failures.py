"""How a build fails."""

from solva.build.dockerfile.ast import DockerfileError, Lines, Node
from solva.errors import SolvaError


class StepFailed(SolvaError):
    """A RUN step's command ended with another code than 0; ``exit_code`` goes into errorDetail."""

    def __init__(self, words: tuple[str, ...], exit_code: int, name: str, node: Node) -> None:
        command = " ".join(words)
        super().__init__(f"The command '{command}' returned a non-zero code: {exit_code} ({name}:{node.lines})")
        self.exit_code = exit_code
        self.lines = node.lines
        self.process = f'process "{command}" did not complete successfully: exit code: {exit_code}'
        """The same as BuildKit's clients know it."""


def located(error: SolvaError, name: str, node: Node) -> SolvaError:
    """The same kind of error with the instruction's file and line behind its text."""
    if isinstance(error, DockerfileError | StepFailed):
        return error
    found = type(error)(f"{error} ({name}:{node.lines.first})")
    found.__dict__["lines"] = node.lines
    return found


def lines_of(error: SolvaError) -> tuple[int, int]:
    """First and last line of the Dockerfile that an error is about; zeros where it is about none."""
    if isinstance(error, DockerfileError):
        return error.line, error.line
    lines = getattr(error, "lines", None)
    return (lines.first, lines.last) if isinstance(lines, Lines) else (0, 0)
