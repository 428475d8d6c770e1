"""COPY [--from --chown --chmod --link --parents --exclude] source … destination"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build.dockerfile.ast import DockerfileError, Heredoc, Node
from solva.build.dockerfile.lexer import parse_heredoc
from solva.build.instructions.base import expanding, flags_of, switch
from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.build.copyfiles import CopySpec
    from solva.build.stage import Inline, Stage


@dataclass(frozen=True, slots=True)
class Files:
    """What COPY and ADD have in common, as written. ``link`` changes nothing in the result here: layers are told
    apart by content whatever is below."""

    node: Node
    paths: tuple[str, ...]
    documents: tuple[Heredoc, ...]
    destination: str
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    parents: bool = False
    exclude: tuple[str, ...] = ()

    def spec(self, stage: Stage, paths: tuple[str, ...]) -> CopySpec:
        """With all words expanded; ``paths`` are."""
        from solva.build.copyfiles import CopySpec
        from solva.build.filemode import Chmod

        chmod = stage.expand(self.node, self.chmod)
        try:
            mode = Chmod.parse(chmod) if chmod else None
        except InvalidParameter as error:
            raise self.node.error(str(error)) from None
        destination = stage.destination(stage.expand(self.node, self.destination))
        if len(paths) + len(self.documents) > 1 and not destination.endswith("/"):
            raise self.node.error(f"When using {self.node.name} with more than one source file, the destination must "
                                  "be a directory and end with a /")
        return CopySpec(paths, destination, stage.expand(self.node, self.chown), mode, self.parents,
                        tuple(stage.expand(self.node, pattern) for pattern in self.exclude), bool(self.from_))

    def inline(self, stage: Stage) -> list[Inline]:
        """The heredocs as files."""
        found = []
        for document in self.documents:
            text = document.content
            if document.expand:
                try:
                    text = stage.state.expander(self.node.escape).heredoc(text)
                except DockerfileError as error:
                    raise expanding(self.node, f"<<{document.name}", error) from None
            found.append(stage.inline(document.name, text.encode("utf-8", "surrogateescape")))
        return found

    def created_by(self, stage: Stage, spec: CopySpec, paths: tuple[str, ...]) -> str:
        """The row of history."""
        words = [self.node.name]
        if spec.chown:
            words.append(f"--chown={spec.chown}")
        if spec.chmod:
            words.append(f"--chmod={spec.chmod.text}")
        words += [*paths, *(f"<<{document.name}" for document in self.documents)]
        return " ".join([*words, stage.expand(self.node, self.destination), "# buildkit"])


def parse_files(node: Node, found: dict[str, list[str]]) -> Files:
    """Words and flags of either instruction."""
    words = node.json if node.json is not None else tuple(node.rest.split())
    if not words:
        raise node.error(f"{node.name} requires at least two arguments, but no arguments were provided")
    if len(words) == 1:
        raise node.error(f"{node.name} requires at least two arguments, but only one was provided. Destination could "
                         "not be determined")
    paths, documents = [], []
    remaining = list(node.heredocs)
    for word in words[:-1]:
        head = parse_heredoc(word, node.escape) if node.json is None else None
        if head is not None and remaining:
            documents.append(remaining.pop(0))
        else:
            paths.append(word)
    if remaining:
        raise node.error(f"{node.name} cannot use a heredoc as its destination")
    from_ = found.get("from", [""])[0]
    if "$" in from_:
        raise node.error("variable expansion is not supported for --from, define a new stage with FROM using ARG from "
                         "global scope as a workaround")
    return Files(node, tuple(paths), tuple(documents), words[-1], from_, found.get("chown", [""])[0],
                 found.get("chmod", [""])[0], switch(found, "parents"), tuple(found.get("exclude", ())))


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY."""

    files: Files

    @property
    def node(self) -> Node:
        return self.files.node

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.files.from_,) if self.files.from_ else ()

    async def apply(self, stage: Stage) -> None:
        paths = tuple(stage.expand(self.node, path) for path in self.files.paths)
        spec = self.files.spec(stage, paths)
        await stage.copy(self.files.created_by(stage, spec, paths), spec, self.files.from_, self.files.inline(stage))


def parse(node: Node) -> Copy:
    found = flags_of(node, values=("from", "chown", "chmod"), switches=("link", "parents"), several=("exclude",))
    return Copy(parse_files(node, found))
