"""A directory as an image layer: a tar that depends on nothing but the directory's content.

Entries are sorted, times are fixed, owners are numbers. The directory may be the upper one of an overlayfs
mount: its whiteouts (character device 0,0) and opaque directories become those of the OCI layer format.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

EPOCH = 1_767_225_600  # 2026-01-01: the time of every file in every layer
OPAQUE = "trusted.overlay.opaque"
KEPT_XATTRS = ("security.capability",)

Compression = Literal["gzip", "zstd"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer in a file."""

    path: Path
    digest: str  # of the compressed bytes, as manifests name it
    diff_id: str  # of the tar, as image configurations name it
    size: int
    compression: Compression


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def walk(root: Path, skip: Callable[[str], bool] = lambda _: False) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below `root` as (path relative to it, lstat), parents first, sorted by name."""

    def visit(directory: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        for entry in sorted(os.scandir(directory), key=lambda found: found.name):
            name = prefix + entry.name
            if skip(name):
                continue
            yield name, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from visit(entry.path, name + "/")

    yield from visit(str(root), "")


def _xattr(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return None


def _whiteout(name: str) -> tarfile.TarInfo:
    head, _, tail = name.rpartition("/")
    return _fixed(tarfile.TarInfo(f"{head}/.wh.{tail}" if head else f".wh.{tail}"), 0o644, 0, 0)


def _fixed(info: tarfile.TarInfo, mode: int, uid: int, gid: int) -> tarfile.TarInfo:
    info.mtime, info.mode, info.uid, info.gid = EPOCH, mode, uid, gid
    return info


def _describe(path: str, name: str, found: os.stat_result) -> tarfile.TarInfo:
    info = _fixed(tarfile.TarInfo(name), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFREG:
        info.size = found.st_size
    elif kind == stat.S_IFDIR:
        info.type = tarfile.DIRTYPE
    elif kind == stat.S_IFLNK:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
    elif kind == stat.S_IFIFO:
        info.type = tarfile.FIFOTYPE
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        info.type = tarfile.CHRTYPE if kind == stat.S_IFCHR else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    else:
        raise ValueError(f"a socket cannot be in a layer: {name}")
    for xattr in KEPT_XATTRS:
        value = _xattr(path, xattr)
        if value is not None:
            # tarfile writes what is not UTF-8 as binary when it comes as surrogates
            text = value.decode("utf-8", "surrogateescape")
            info.pax_headers = {**info.pax_headers, f"SCHILY.xattr.{xattr}": text}
    return info


def write_tar(root: Path, out: BinaryIO, skip: Callable[[str], bool] = lambda _: False) -> None:
    """Write the layer tar of `root` to `out`; paths for which `skip` is true are left out with all below."""
    links: dict[tuple[int, int], str] = {}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, found in walk(root, skip):
            path = f"{root}/{name}"
            if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
                tar.addfile(_whiteout(name))
                continue
            info = _describe(path, name, found)
            identity = (found.st_dev, found.st_ino)
            if info.isreg() and found.st_nlink > 1 and identity in links:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, links[identity], 0
                info.pax_headers = {}
                tar.addfile(info)
            elif info.isreg():
                links[identity] = name
                with open(path, "rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)
                if info.isdir() and _xattr(path, OPAQUE) == b"y":
                    tar.addfile(_fixed(tarfile.TarInfo(f"{name}/.wh..wh..opq"), 0o644, 0, 0))


class _Squeeze(io.RawIOBase):
    """Takes the tar, writes it compressed, and knows both digests in the end."""

    def __init__(self, out: BinaryIO, compressor: _Compressor) -> None:
        self._out, self._compressor = out, compressor
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._plain.update(data)
        self._put(self._compressor.compress(bytes(data)))
        return len(data)

    def _put(self, data: bytes) -> None:
        self._packed.update(data)
        self.size += len(data)
        self._out.write(data)

    def finish(self) -> tuple[str, str]:
        """The digests of what was written to `out` and of the tar itself."""
        self._put(self._compressor.flush())
        return f"sha256:{self._packed.hexdigest()}", f"sha256:{self._plain.hexdigest()}"


def _compressor(compression: Compression) -> _Compressor:
    if compression == "zstd":
        import zstandard

        made: _Compressor = zstandard.ZstdCompressor(level=6).compressobj()
        return made
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(6, zlib.DEFLATED, 31)
    fast: _Compressor = isal_zlib.compressobj(3, isal_zlib.DEFLATED, 31)
    return fast


def pack(
    root: Path, to: Path, compression: Compression = "gzip", skip: Callable[[str], bool] = lambda _: False
) -> Layer:
    """Write `root` as a compressed layer to the file `to`."""
    with open(to, "wb") as out:
        squeeze = _Squeeze(out, _compressor(compression))
        write_tar(root, squeeze, skip)  # type: ignore[arg-type]
        digest, diff_id = squeeze.finish()
    return Layer(to, digest, diff_id, squeeze.size, compression)
