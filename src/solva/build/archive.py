"""ADD's archives: recognised by content, unpacked into the destination."""

import io

from solva.build.untar import Untar
from solva.errors import InvalidParameter
from solva.snapshots.compression import CompressionError
from solva.snapshots.compression import reader as decompressed
from solva.snapshots.tarstream import TarError, TarReader


def is_archive(path: str) -> bool:
    """Whether ``path`` is a tar, plain or compressed, with at least one good header."""
    with io.FileIO(path) as file:
        if file.read(4) == b"":
            return False
        file.seek(0)
        try:
            return TarReader(decompressed(file)).next() is not None
        except (TarError, CompressionError):
            return False


def unpack_archive(path: str, target: str, owner: tuple[int, int] | None) -> None:
    """Unpack the local archive ``path`` into the directory ``target``; ``owner`` None keeps the archive's."""
    with io.FileIO(path) as file:
        try:
            Untar(target, owner).extract(TarReader(decompressed(file)))
        except CompressionError as error:
            raise InvalidParameter(f"Error processing tar file: {error}") from error
