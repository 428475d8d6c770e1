"""Blobs by digest: ``data/content/blobs/sha256/<hex>``; unfinished ones in ``data/content/ingest``.

A blob is there whole and verified, or it is not there. Unfinished downloads stay for a day, to be resumed.
"""

import hashlib
import os
import re
import time
from pathlib import Path

from solva.errors import InvalidParameter
from solva.kernel import files

DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
KEEP_SECONDS = 86400


def digest_of(data: bytes) -> str:
    """``sha256:…`` of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class ContentStore:
    """One an engine; blocking (small files, or rename and fsync)."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._ingest = root / "ingest"
        for directory in (self._blobs, self._ingest):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be."""
        if not DIGEST.match(digest):
            raise InvalidParameter(f"invalid digest {digest!r}: only sha256 is supported")
        return self._blobs / digest[7:]

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def read(self, digest: str) -> bytes:
        """FileNotFoundError when it is not there."""
        return self.path(digest).read_bytes()

    def size(self, digest: str) -> int:
        return self.path(digest).stat().st_size

    def write(self, data: bytes) -> str:
        """Store a small blob; its digest."""
        digest = digest_of(data)
        target = self.path(digest)
        if not target.exists():
            files.write_durable(target, data)
        return digest

    def partial(self, digest: str) -> Path:
        """The file a download of this blob writes to, and finds again after an interruption."""
        return self._ingest / self.path(digest).name

    def scratch(self, name: str) -> Path:
        """A file to write a blob to whose digest is not known yet."""
        return self._ingest / f"new-{name}"

    def commit(self, source: Path, digest: str) -> None:
        """A finished and verified file becomes the blob, durably."""
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(source, self.path(digest))
        files.sync_directory(self._blobs)

    def delete(self, digest: str) -> int:
        """Bytes freed; 0 when it was not there."""
        target = self.path(digest)
        try:
            size = target.stat().st_size
            target.unlink()
        except FileNotFoundError:
            return 0
        return size

    def digests(self) -> list[str]:
        return ["sha256:" + name for name in os.listdir(self._blobs) if not name.startswith(".")]

    def clean(self, used: set[str], *, everything: bool = False) -> int:
        """Delete blobs and partial downloads that nothing uses and that are older than a day (or all such)."""
        limit = time.time() + 1 if everything else time.time() - KEEP_SECONDS
        freed = 0
        for directory in (self._ingest, self._blobs):
            for entry in list(os.scandir(directory)):
                stale = entry.name.startswith((".", "new-"))
                if directory is self._blobs and "sha256:" + entry.name in used:
                    continue
                info = entry.stat(follow_symlinks=False)
                if stale or info.st_mtime < limit:
                    os.unlink(entry.path)
                    freed += info.st_size
        return freed
