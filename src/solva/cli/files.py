"""Files that commands read and write: whole or not at all."""

from __future__ import annotations

import os
import sys

from solva.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


class to_file_or_stdout:
    """A binary sink: the file at ``path``, which appears only when all went well, or standard output.

    ``refusal`` is the error for an output that is a terminal.
    """

    def __init__(self, path: str, refusal: str) -> None:
        self._path = path
        self._refusal = refusal
        self._temporary = ""
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        if not self._path:
            if os.isatty(1):
                raise CommandError(self._refusal)
            return sys.stdout.buffer
        folder, name = os.path.split(self._path)
        if folder and not os.path.isdir(folder):
            raise CommandError(f'invalid output path: directory "{folder}" does not exist')
        if os.path.isdir(self._path):
            raise CommandError(f'"{self._path}" is a directory')
        try:
            if os.path.exists(self._path) and not os.path.isfile(self._path):
                self._file = open(self._path, "wb")
            else:
                self._temporary = os.path.join(folder, f".solva-{os.getpid()}-{name}")
                self._file = open(self._temporary, "wb")
        except OSError as error:
            raise CommandError(f"open {self._path}: {(error.strerror or '').lower()}") from None
        return self._file

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file is None:
            sys.stdout.buffer.flush()
            return
        self._file.close()
        if not self._temporary:
            return
        if kind is None:
            os.replace(self._temporary, self._path)
        else:
            os.unlink(self._temporary)


def open_input(path: str) -> BinaryIO:
    """The file at ``path``, or standard input for ``""``; CommandError when it cannot be read."""
    if not path:
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise CommandError(f"open {path}: {(error.strerror or '').lower()}") from None


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """A file's content, piece by piece as it can be had."""
    number = file.fileno()
    while True:
        data = os.read(number, 1 << 18)
        if not data:
            return
        yield data
