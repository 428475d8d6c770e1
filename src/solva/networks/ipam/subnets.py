"""Which subnet a network gets: the user's, checked in Docker's words, or the next free one of the default pools."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from solva.api.types.network import IpamPool
from solva.errors import Forbidden, InvalidParameter
from solva.networks.ipam.addresses import IPNetwork, overlapping

OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"
EXHAUSTED = "all predefined address pools have been fully subnetted"


@dataclass(frozen=True, slots=True)
class PoolSource:
    """Subnets of ``size`` bits are cut out of ``base``, lowest first."""

    base: str
    size: int


DEFAULT_SOURCES = (
    *(PoolSource(f"172.{second}.0.0/16", 16) for second in range(17, 32)),
    PoolSource("192.168.0.0/16", 20),
)


def unique_local(seed: str) -> PoolSource:
    """This machine's /48 of unique local addresses (RFC 4193), always the same for a seed, cut into /64."""
    digest = hashlib.sha256(b"solva ula " + seed.encode()).digest()
    base = ipaddress.IPv6Address(b"\xfd" + digest[:5] + bytes(10))
    return PoolSource(f"{base}/48", 64)


def _pieces(source: PoolSource) -> Iterator[IPNetwork]:
    base = ipaddress.ip_network(source.base)
    yield from base.subnets(new_prefix=max(source.size, base.prefixlen))


def choose(sources: Sequence[PoolSource], version: int, taken: Sequence[IPNetwork]) -> IPNetwork | None:
    """The first piece of the sources that overlaps nothing in ``taken``; None when there is none."""
    for source in sources:
        if (":" in source.base) != (version == 6):
            continue
        for piece in _pieces(source):
            if not overlapping(piece, taken):
                return piece
    return None


def size_only(subnet: str) -> tuple[int, int] | None:
    """``0.0.0.0/24``, ``::/64`` and ``/24``: a subnet of the pools of this size; IP version and prefix length."""
    address, slash, length = subnet.partition("/")
    if not slash or not length.isdigit() or address not in ("", "0.0.0.0", "::"):
        return None
    version = 6 if address == "::" else 4
    if not (8 <= int(length) <= 31 if version == 4 else 48 <= int(length) <= 127):
        return None
    return version, int(length)


def choose_sized(sources: Sequence[PoolSource], version: int, length: int,
                 taken: Sequence[IPNetwork]) -> IPNetwork | None:
    """As ``choose``, of another size: several of what a source gives are put together, or one is cut."""
    for source in sources:
        if (":" in source.base) == (version == 6) and ipaddress.ip_network(source.base).prefixlen <= length:
            found = choose([PoolSource(source.base, length)], version, taken)
            if found is not None:
                return found
    return None


def _network(kind: str, text: str) -> IPNetwork:
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise InvalidParameter(f"invalid {kind} {text}: invalid CIDR block notation") from None
    if "/" not in text:
        raise InvalidParameter(f"invalid {kind} {text}: invalid CIDR block notation")
    if interface.ip != interface.network.network_address:
        raise InvalidParameter(f"invalid {kind} {text}: it should be {interface.network}")
    return interface.network


def check(config: Sequence[IpamPool]) -> None:
    """Every mistake of a request's pools at once, as Docker lists them."""
    problems: list[str] = []
    for pool in config:
        if size_only(pool.subnet):
            if pool.gateway or pool.ip_range or pool.auxiliary_addresses:
                problems.append(f"invalid subnet {pool.subnet}: gateway, ip-range and auxiliary addresses need one "
                                "of your own choice")
            continue
        try:
            subnet = _network("subnet", pool.subnet)
        except InvalidParameter as error:
            problems.append(str(error))
            continue
        problems.extend(_problems(pool, subnet))
    if problems:
        lines = problems if len(problems) == 1 else [f"* {problem}" for problem in problems]
        raise InvalidParameter("invalid network config:\n" + "\n".join(lines))


def _problems(pool: IpamPool, subnet: IPNetwork) -> Iterator[str]:
    if pool.ip_range:
        try:
            ip_range = _network("ip-range", pool.ip_range)
        except InvalidParameter as error:
            yield str(error)
        else:
            if ip_range.version == subnet.version and ip_range.prefixlen < subnet.prefixlen:
                yield f"invalid ip-range {pool.ip_range}: CIDR block is bigger than its parent subnet {subnet}"
            elif not overlapping(ip_range, [subnet]):
                yield f"invalid ip-range {pool.ip_range}: parent subnet {subnet} doesn't contain ip-range"
    if pool.gateway:
        yield from _outside(f"invalid gateway {pool.gateway}", pool.gateway, subnet)
    for name, address in pool.auxiliary_addresses.items():
        yield from _outside(f"invalid auxiliary address {name}", address, subnet)


def _outside(what: str, address: str, subnet: IPNetwork) -> Iterator[str]:
    try:
        inside = ipaddress.ip_address(address) in subnet
    except ValueError:
        yield f"{what}: invalid address"
        return
    if not inside:
        yield f"{what}: parent subnet {subnet} doesn't contain this address"


def refuse_overlap(subnet: IPNetwork, taken: Sequence[IPNetwork]) -> None:
    """Forbidden when a subnet that the user named overlaps another network's."""
    if overlapping(subnet, taken):
        raise Forbidden(OVERLAP)
