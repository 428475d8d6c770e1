"""Reading a tar as a stream: ustar, old V7, GNU (long names, sparse) and PAX, names as bytes.

Ours, since tarfile costs 60 µs and many objects an entry, decodes names, and its extraction is by path. A reader
gives headers; the caller takes the content (``copy_to``) or leaves it: ``next`` skips what was not taken.
"""

from __future__ import annotations

import binascii
import hashlib
import os

TYPE_CHECKING = False      # as in compression.py
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 512
CHUNK = 1 << 20
MAX_META = 16 << 20      # a PAX header or a long name greater than this is an attack, not a file

REGULAR, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_REGULAR_KINDS = (b"0", b"\0", b"7", b"S")
_ZERO = bytes(BLOCK)


class TarError(Exception):
    """The stream is no tar, is cut short, or its numbers are impossible."""


class Entry:
    """One header. ``size`` is of the content in the stream; ``sparse`` and ``real_size`` tell of its holes."""

    __slots__ = ("device", "gid", "kind", "link", "mode", "mtime_ns", "name", "real_size", "size", "sparse", "uid",
                 "xattrs")

    def __init__(self) -> None:
        self.name = b""
        self.link = b""
        self.kind = REGULAR
        self.mode = 0
        self.uid = 0
        self.gid = 0
        self.size = 0
        self.mtime_ns = 0
        self.device = 0
        self.xattrs: dict[str, bytes] | None = None
        self.sparse: list[tuple[int, int]] | None = None
        self.real_size = 0


class TarReader:
    """``read(n)`` returns up to n bytes, b"" at the end. ``digest`` is of the whole stream once ``drain`` is done."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = b""
        self._position = 0
        self._left = 0          # of the current entry's content, unread
        self._padding = 0
        self._digest = hashlib.sha256()
        self._global: dict[bytes, bytes] = {}
        self._seen = False

    # -- bytes

    def _fill(self) -> bool:
        chunk = self._read(CHUNK)
        if not chunk:
            return False
        self._digest.update(chunk)
        rest = self._buffer[self._position:]
        self._buffer = rest + chunk if rest else chunk
        self._position = 0
        return True

    def _exactly(self, count: int) -> bytes:
        end = self._position + count
        while end > len(self._buffer):
            if not self._fill():
                raise TarError("unexpected EOF")
            end = self._position + count
        data = self._buffer[self._position:end]
        self._position = end
        return data

    def copy_to(self, descriptor: int) -> None:
        """Write the current entry's content to an empty file, holes as holes."""
        entry = self._entry
        if entry.sparse is None:
            self._copy(descriptor, self._left)
            self._left = 0
            return
        os.ftruncate(descriptor, entry.real_size)
        for offset, length in entry.sparse:
            if length:
                os.lseek(descriptor, offset, os.SEEK_SET)
                self._copy(descriptor, length)
                self._left -= length

    def _copy(self, descriptor: int, count: int) -> None:
        while count:
            available = len(self._buffer) - self._position
            if not available:
                if not self._fill():
                    raise TarError("unexpected EOF")
                continue
            step = min(available, count)
            if step <= 65536:
                written = os.write(descriptor, self._buffer[self._position:self._position + step])
            else:
                written = os.write(descriptor, memoryview(self._buffer)[self._position:self._position + step])
            self._position += written
            count -= written

    def content(self) -> bytes:
        """The current entry's content, whole (small files)."""
        data = self._exactly(self._left)
        self._left = 0
        return data

    def _skip(self, count: int) -> None:
        while count:
            available = len(self._buffer) - self._position
            if not available:
                if not self._fill():
                    raise TarError("unexpected EOF")
                continue
            step = min(available, count)
            self._position += step
            count -= step

    def drain(self) -> str:
        """Read the stream to its end; the digest of all of it (``sha256:…``)."""
        self._position = len(self._buffer)
        while self._fill():
            self._position = len(self._buffer)
        return "sha256:" + self._digest.hexdigest()

    # -- headers

    def next(self) -> Entry | None:
        """The next file's header, or None at the end of the archive. TarError."""
        if self._left or self._padding:
            self._skip(self._left + self._padding)
            self._left = self._padding = 0
        extended: dict[bytes, bytes] = dict(self._global) if self._global else {}
        long_name = long_link = b""
        while True:
            block = self._header()
            if block is None:
                return None
            kind = block[156:157]
            if kind in (b"x", b"g"):
                records = _pax(self._meta(block))
                (extended if kind == b"x" else self._global).update(records)
                if kind == b"g":
                    extended.update(records)
                continue
            if kind == b"L":
                long_name = self._meta(block).rstrip(b"\0")
                continue
            if kind == b"K":
                long_link = self._meta(block).rstrip(b"\0")
                continue
            return self._parse(block, extended, long_name, long_link)

    def _header(self) -> bytes | None:
        if self._position == len(self._buffer) and not self._fill():
            if not self._seen:
                return None      # an empty stream is an empty layer
            return None          # no end blocks: as lenient as GNU tar and Docker
        block = self._exactly(BLOCK)
        if block == _ZERO:
            return None
        stored = _number(block[148:156])
        if stored != sum(block) - sum(block[148:156]) + 256 and stored != _signed_sum(block):
            raise TarError("invalid tar header")
        self._seen = True
        return block

    def _meta(self, block: bytes) -> bytes:
        size = _number(block[124:136])
        if not 0 <= size <= MAX_META:
            raise TarError("tar: a header of impossible size")
        data = self._exactly(size)
        self._skip(-size % BLOCK)
        return data

    def _parse(self, block: bytes, extended: dict[bytes, bytes], long_name: bytes, long_link: bytes) -> Entry:
        entry = self._entry = Entry()
        entry.name = block[:100].partition(b"\0")[0]
        kind = block[156:157]
        entry.mode = _number(block[100:108]) & 0o7777
        entry.uid = _number(block[108:116])
        entry.gid = _number(block[116:124])
        size = _number(block[124:136])
        entry.mtime_ns = _number(block[136:148]) * 1_000_000_000
        magic = block[257:263]
        if magic == b"ustar\0" and block[345] != 0:
            entry.name = block[345:500].partition(b"\0")[0] + b"/" + entry.name
        if kind in (b"1", b"2"):
            entry.link = long_link or block[157:257].partition(b"\0")[0]
        elif kind in (b"3", b"4"):
            entry.device = os.makedev(_number(block[329:337]), _number(block[337:345]))
        if long_name:
            entry.name = long_name
        if kind == b"S":
            self._old_sparse(entry, block)
        if extended:
            size = self._apply(entry, extended, size)
        if kind in _REGULAR_KINDS:
            entry.kind = DIRECTORY if kind == b"\0" and entry.name.endswith(b"/") else REGULAR
        else:
            entry.kind = kind
        if size < 0:
            raise TarError("tar: negative size")
        if kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
            size = 0      # such an entry has no content, whatever its size field says
        entry.size = self._left = size
        self._padding = -size % BLOCK
        if extended and (b"GNU.sparse.major" in extended or b"GNU.sparse.map" in extended):
            self._pax_sparse(entry, extended)
        if entry.sparse is None:
            entry.real_size = size
        elif sum(length for _, length in entry.sparse) != self._left or any(
            offset < 0 or length < 0 or offset + length > entry.real_size for offset, length in entry.sparse
        ):
            raise TarError("tar: invalid sparse map")
        if b"\0" in entry.name or b"\0" in entry.link:
            raise TarError("tar: a name with a NUL in it")
        return entry

    def _apply(self, entry: Entry, extended: dict[bytes, bytes], size: int) -> int:
        for key, value in extended.items():
            if key == b"path":
                entry.name = value
            elif key == b"linkpath":
                entry.link = value
            elif key == b"size":
                size = _decimal(value)
            elif key == b"uid":
                entry.uid = _decimal(value)
            elif key == b"gid":
                entry.gid = _decimal(value)
            elif key == b"mtime":
                entry.mtime_ns = _timestamp(value)
            elif key.startswith(b"SCHILY.xattr."):
                name = os.fsdecode(key[13:])
                entry.xattrs = entry.xattrs or {}
                entry.xattrs[name] = value
            elif key.startswith(b"LIBARCHIVE.xattr."):
                name = os.fsdecode(key[17:])
                if b"SCHILY.xattr." + key[17:] not in extended:
                    entry.xattrs = entry.xattrs or {}
                    entry.xattrs[name] = binascii.a2b_base64(value + b"=" * (-len(value) % 4))
        return size

    # -- sparse files

    def _old_sparse(self, entry: Entry, block: bytes) -> None:
        found: list[tuple[int, int]] = []
        entry.real_size = _number(block[483:495])
        table, count, more = block[386:482], 4, block[482] != 0
        while True:
            for index in range(count):
                offset = table[index * 24:index * 24 + 12]
                length = table[index * 24 + 12:index * 24 + 24]
                if offset[:1] in (b"\0", b"") and length[:1] in (b"\0", b""):
                    break
                found.append((_number(offset), _number(length)))
            if not more:
                break
            extension = self._exactly(BLOCK)
            table, count, more = extension[:504], 21, extension[504] != 0
        entry.sparse = found

    def _pax_sparse(self, entry: Entry, extended: dict[bytes, bytes]) -> None:
        if b"GNU.sparse.name" in extended:
            entry.name = extended[b"GNU.sparse.name"]
        real = extended.get(b"GNU.sparse.realsize") or extended.get(b"GNU.sparse.size")
        if real is None:
            raise TarError("tar: invalid sparse header")
        entry.real_size = _decimal(real)
        if extended.get(b"GNU.sparse.major") == b"1":
            entry.sparse = self._sparse_map()
        else:
            numbers = [_decimal(number) for number in extended.get(b"GNU.sparse.map", b"").split(b",") if number]
            entry.sparse = list(zip(numbers[::2], numbers[1::2], strict=True)) if len(numbers) % 2 == 0 else []

    def _sparse_map(self) -> list[tuple[int, int]]:
        """Version 1.0: the map stands at the front of the content, decimal lines padded to a block."""
        text = b""
        numbers: list[int] = []
        wanted = 1
        while len(numbers) < wanted:
            if b"\n" not in text:
                if self._left < BLOCK or len(text) > MAX_META:
                    raise TarError("tar: invalid sparse map")
                text += self._exactly(BLOCK)
                self._left -= BLOCK
                continue
            line, _, text = text.partition(b"\n")
            numbers.append(_decimal(line))
            if len(numbers) == 1:
                wanted = 1 + 2 * numbers[0]
                if numbers[0] > MAX_META // 4:
                    raise TarError("tar: invalid sparse map")
        return list(zip(numbers[1::2], numbers[2::2], strict=True))


def _number(field: bytes) -> int:
    """Octal text, or GNU's base-256 when the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        if field[0] == 0xFF:
            return value - (1 << (8 * len(field)))
        return value & ((1 << (8 * len(field) - 1)) - 1)
    text = field.strip(b" \0").partition(b"\0")[0]
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError:
        raise TarError("invalid tar header") from None


def _decimal(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise TarError("tar: invalid number in an extended header") from None


def _timestamp(text: bytes) -> int:
    whole, _, fraction = text.partition(b".")
    try:
        seconds = int(whole)
        nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    except ValueError:
        raise TarError("tar: invalid time in an extended header") from None
    return seconds * 1_000_000_000 + (-nanoseconds if whole.startswith(b"-") else nanoseconds)


def _signed_sum(block: bytes) -> int:
    """Some old writers summed signed chars."""
    rest = block[:148] + block[156:]
    return sum(rest) - 256 * sum(1 for byte in rest if byte > 127) + 256


def _pax(data: bytes) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(data) and data[position] != 0:
        space = data.find(b" ", position, position + 12)
        if space < 0:
            raise TarError("tar: invalid extended header")
        length = _decimal(data[position:space])
        end = position + length
        if length <= space - position + 1 or end > len(data) or data[end - 1:end] != b"\n":
            raise TarError("tar: invalid extended header")
        key, equals, value = data[space + 1:end - 1].partition(b"=")
        if not equals:
            raise TarError("tar: invalid extended header")
        records[key] = value
        position = end
    return records
