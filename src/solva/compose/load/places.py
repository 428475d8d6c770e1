"""Where things stand, over all files of a project."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.load.tree import Path
    from solva.compose.load.yaml import Document


class Places:
    """The documents read so far; the latest that has a place tells it."""

    def __init__(self, outer: Places | None = None) -> None:
        self.documents: list[Document] = []
        self.every: list[Document] = outer.every if outer is not None else []   # those of includes and extends too

    def add(self, document: Document) -> None:
        self.documents.append(document)
        self.every.append(document)

    def place(self, path: Path) -> str:
        """``file:line:column`` of ``path``, or of the nearest place above it."""
        while True:
            for document in reversed(self.documents):
                if path in document.positions:
                    line, column = document.positions[path]
                    return f"{document.file}:{line}:{column}"
            if not path:
                return self.documents[-1].file if self.documents else ""
            path = path[:-1]
