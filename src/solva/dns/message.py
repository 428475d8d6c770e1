"""DNS messages as bytes (RFC 1035, 6891): taking a query apart, putting the answers of our own zones together.

What a resolver of the outside says passes through whole and is never parsed beyond its question.
"""

A = 1
PTR = 12
AAAA = 28
OPT = 41
IN = 1

NOERROR = 0
FORMERR = 1
SERVFAIL = 2
NOTIMP = 4
REFUSED = 5

TTL = 600
HEADER = 12
UDP_LIMIT = 512
TCP_LIMIT = 65535
_TC = 0x02
_NAME_LIMIT = 255
_OUR_OPT = b"\0\x00\x29\x10\x00\0\0\0\0\0\0"
"""An OPT record of our own: 4096 bytes are taken, nothing extended."""
_OWNER = b"\xc0\x0c"
"""The name of a record: a pointer to the question's."""
_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS",
          255: "ANY"}


class Malformed(Exception):
    """Not a query that can be read; ``rcode`` is what to say."""

    def __init__(self, rcode: int) -> None:
        super().__init__(rcode)
        self.rcode = rcode


class Query:
    """One question, taken apart.

    ``name``: lower case, dots between labels, no trailing dot. ``end``: where the question ends in ``packet``.
    ``limit``: the longest answer the asker takes over UDP.
    """

    __slots__ = ("edns", "end", "limit", "name", "packet", "qclass", "qtype")

    def __init__(self, packet: bytes) -> None:
        if len(packet) < HEADER or packet[4] or packet[5] != 1:
            raise Malformed(FORMERR)
        if packet[2] & 0x78:
            raise Malformed(NOTIMP)
        self.packet = packet
        self.name, offset = _read_name(packet, HEADER)
        if offset + 4 > len(packet):
            raise Malformed(FORMERR)
        self.qtype = packet[offset] << 8 | packet[offset + 1]
        self.qclass = packet[offset + 2] << 8 | packet[offset + 3]
        self.end = offset + 4
        self.edns = False
        self.limit = UDP_LIMIT
        if packet[6:12] != b"\0\0\0\0\0\0":
            self._read_opt(packet)

    def _read_opt(self, packet: bytes) -> None:
        """Find the OPT record among those that follow the question."""
        count = sum(int.from_bytes(packet[at:at + 2], "big") for at in (6, 8, 10))
        offset = self.end
        for _ in range(count):
            offset = _skip_name(packet, offset)
            if offset + 10 > len(packet):
                raise Malformed(FORMERR)
            if packet[offset] << 8 | packet[offset + 1] == OPT:
                self.edns = True
                self.limit = max(UDP_LIMIT, packet[offset + 2] << 8 | packet[offset + 3])
            offset += 10 + (packet[offset + 8] << 8 | packet[offset + 9])
        if offset > len(packet):
            raise Malformed(FORMERR)

    @property
    def text(self) -> str:
        """The question for people: ``A db``."""
        name = self.name.decode("ascii", "backslashreplace") or "."
        return f"{_TYPES.get(self.qtype, f'TYPE{self.qtype}')} {name}"


def _read_name(packet: bytes, offset: int) -> tuple[bytes, int]:
    """A question's name (never compressed there) and what follows it."""
    labels: list[bytes] = []
    start = offset
    size = len(packet)
    while offset < size:
        length = packet[offset]
        offset += 1
        if length == 0:
            return b".".join(labels).lower(), offset
        if length > 63 or offset - start + length > _NAME_LIMIT:
            break
        labels.append(packet[offset:offset + length])
        offset += length
    raise Malformed(FORMERR)


def _skip_name(packet: bytes, offset: int) -> int:
    """The offset after a name, compressed or not."""
    while offset < len(packet):
        length = packet[offset]
        if length & 0xC0 == 0xC0:
            return offset + 2
        if length & 0xC0:
            break
        offset += length + 1
        if length == 0:
            return offset
    raise Malformed(FORMERR)


def encode_name(name: bytes) -> bytes:
    """A dotted name as labels. Raises ValueError for one that DNS cannot carry."""
    encoded = b""
    for label in name.split(b"."):
        if not 0 < len(label) < 64:
            raise ValueError(name)
        encoded += bytes((len(label),)) + label
    if len(encoded) >= _NAME_LIMIT:
        raise ValueError(name)
    return encoded + b"\0"


def record(qtype: int, data: bytes) -> bytes:
    """One record that answers the question itself."""
    return b"%b%b\0\x01%b%b%b" % (
        _OWNER, qtype.to_bytes(2, "big"), TTL.to_bytes(4, "big"), len(data).to_bytes(2, "big"), data
    )


def answer(query: Query, records: list[bytes], *, rcode: int = NOERROR, limit: int | None = None) -> bytes:
    """The response to ``query`` with ``records``, cut to ``limit`` bytes (TC set) where they are too many.

    Flags as Docker's resolver sets them: RD as asked, RA always, never AA.
    """
    packet = query.packet
    space = (query.limit if limit is None else limit) - query.end - (len(_OUR_OPT) if query.edns else 0)
    kept = 0
    for item in records:
        space -= len(item)
        if space < 0:
            break
        kept += 1
    first = 0x80 | packet[2] & 0x01 | (_TC if kept < len(records) else 0)
    header = packet[:2] + bytes((first, 0x80 | packet[3] & 0x10 | rcode)) + b"\0\x01" + kept.to_bytes(2, "big")
    tail = b"\0\0\0\x01" if query.edns else b"\0\0\0\0"
    body = packet[HEADER:query.end] + b"".join(records[:kept])
    return header + tail + body + (_OUR_OPT if query.edns else b"")


def failure(packet: bytes, rcode: int) -> bytes:
    """A bare header for what could not be read. ``packet`` holds a whole header."""
    return packet[:2] + bytes((0x80 | packet[2] & 0x79, 0x80 | rcode)) + b"\0\0\0\0\0\0\0\0"


def cut(response: bytes, query: Query) -> bytes:
    """A response of the outside, fit for the asker's UDP: whole, or the question alone with TC set."""
    if len(response) <= query.limit:
        return response
    header = response[:2] + bytes((response[2] | _TC, response[3])) + b"\0\x01\0\0\0\0\0\0"
    return header + query.packet[HEADER:query.end]


def answers(response: bytes, query: Query) -> bool:
    """Whether ``response`` (its id checked already) belongs to ``query``: the same question, or none at all as some
    servers refuse."""
    if len(response) < HEADER or not response[2] & 0x80:
        return False
    if response[4:6] == b"\0\0":
        return response[3] & 0x0F != NOERROR
    return response[HEADER:query.end].lower() == query.packet[HEADER:query.end].lower()
