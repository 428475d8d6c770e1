"""The tar reader against Python's writer, and against damage."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from solva.snapshots import tarstream
from solva.snapshots.tarstream import Entry, TarError, TarReader


def entries(data: bytes) -> list[Entry]:
    reader = TarReader(io.BytesIO(data).read)
    found = []
    while (entry := reader.next()) is not None:
        found.append(entry)
    return found


def made(form: int, *items: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, content in items:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_numbers(form: int) -> None:
    info = tarfile.TarInfo("d" * 90 + "/" + "n" * 90)
    info.mode, info.uid, info.gid, info.mtime = 0o4755, 1234, 5678, 1700000000
    (entry,) = entries(made(form, (info, b"content")))
    assert entry.name == b"d" * 90 + b"/" + b"n" * 90
    assert (entry.mode, entry.uid, entry.gid, entry.size) == (0o4755, 1234, 5678, 7)
    assert entry.mtime_ns == 1700000000 * 10**9


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_large(form: int) -> None:
    info = tarfile.TarInfo("x" * 4000)
    info.type, info.linkname, info.uid = tarfile.SYMTYPE, "y" * 3000, 4_000_000_000
    (entry,) = entries(made(form, (info, b"")))
    assert (entry.name, entry.link, entry.uid) == (b"x" * 4000, b"y" * 3000, 4_000_000_000)


def test_attributes_and_fractions() -> None:
    info = tarfile.TarInfo("f")
    info.pax_headers = {"SCHILY.xattr.user.a": "v", "mtime": "1.25"}
    (entry,) = entries(made(tarfile.PAX_FORMAT, (info, b"")))
    assert entry.xattrs == {"user.a": b"v"}
    assert entry.mtime_ns == 1_250_000_000


def test_content_and_digest(tmp_path: Path) -> None:
    import hashlib

    data = made(tarfile.USTAR_FORMAT, (tarfile.TarInfo("a"), b"1" * 3_000_000), (tarfile.TarInfo("b"), b"2"))
    reader = TarReader(io.BytesIO(data).read)
    assert reader.next() is not None
    descriptor = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    reader.copy_to(descriptor)
    os.close(descriptor)
    assert (tmp_path / "a").read_bytes() == b"1" * 3_000_000
    assert reader.next() is not None
    assert reader.content() == b"2"
    assert reader.next() is None
    assert reader.drain() == "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("cut", [100, 511, 513, 700])
def test_cut_short(cut: int) -> None:
    data = made(tarfile.USTAR_FORMAT, (tarfile.TarInfo("a"), b"x" * 600), (tarfile.TarInfo("b"), b""))
    with pytest.raises(TarError, match="unexpected EOF"):
        entries(data[:cut])


def test_damaged_header() -> None:
    data = bytearray(made(tarfile.USTAR_FORMAT, (tarfile.TarInfo("a"), b"")))
    data[0] ^= 1
    with pytest.raises(TarError, match="invalid tar header"):
        entries(bytes(data))


def test_impossible_extended_header() -> None:
    info = tarfile.TarInfo("a")
    info.pax_headers = {"comment": "x" * 50}
    data = bytearray(made(tarfile.PAX_FORMAT, (info, b"")))
    data[512:515] = b"999"
    with pytest.raises(TarError):
        entries(bytes(data))


def test_empty_stream() -> None:
    assert entries(b"") == []
    assert tarstream.CHUNK >= 1 << 16
