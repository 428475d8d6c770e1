"""How a build fails."""

from solva.build.dockerfile.ast import DockerfileError, Node
from solva.errors import SolvaError


class StepFailed(SolvaError):
    """A RUN step's command ended with another code than 0; ``exit_code`` goes into errorDetail."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def located(error: SolvaError, name: str, node: Node) -> SolvaError:
    """The same kind of error with the instruction's file and line behind its text."""
    if isinstance(error, DockerfileError | StepFailed):
        return error
    return type(error)(f"{error} ({name}:{node.lines.first})")
