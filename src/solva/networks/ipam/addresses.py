"""Addresses of one subnet: which are taken, which comes next. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from solva.errors import Forbidden

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

TAKEN = "Address already in use"


class Addresses:
    """Serial-next: a freed address comes back only after all others have had their turn.

    ``ip_range`` narrows what is chosen here; an address that the user names may be anywhere in the subnet.
    """

    def __init__(self, subnet: IPNetwork, ip_range: IPNetwork | None = None) -> None:
        self._subnet = subnet
        source = ip_range if ip_range is not None else subnet
        self._first, self._last = int(source[0]), int(source[-1])
        self._taken: set[int] = set()
        if subnet.version == 4 and subnet.prefixlen < 31:
            self._taken |= {int(subnet[0]), int(subnet[-1])}
        elif subnet.version == 6 and subnet.prefixlen < 127:
            self._taken.add(int(subnet[0]))      # the subnet-router anycast address
        self._reserved = frozenset(self._taken)
        self._cursor = self._first - 1

    @property
    def prefix(self) -> int:
        return self._subnet.prefixlen

    def __contains__(self, address: str) -> bool:
        try:
            return ipaddress.ip_address(address) in self._subnet
        except ValueError:
            return False

    def take(self, address: str) -> None:
        """Reserve this very address. Forbidden when it is taken already."""
        value = int(ipaddress.ip_address(address))
        if value in self._taken:
            raise Forbidden(TAKEN)
        self._taken.add(value)

    def next(self) -> str | None:
        """Reserve the next free address; None when there is none left."""
        for start, stop in ((self._cursor + 1, self._last), (self._first, self._cursor)):
            value = start
            while value <= stop:
                if value not in self._taken:
                    self._taken.add(value)
                    self._cursor = value
                    return self._text(value)
                value += 1
        return None

    def first(self) -> str | None:
        """Reserve the lowest free address without moving on: a gateway."""
        value = self._first
        while value <= self._last:
            if value not in self._taken:
                self._taken.add(value)
                return self._text(value)
            value += 1
        return None

    def release(self, address: str) -> None:
        """Fine when it is free already."""
        self._taken.discard(int(ipaddress.ip_address(address)))

    def used(self) -> int:
        """How many are taken, without those that no host may have."""
        return len(self._taken - self._reserved)

    def _text(self, value: int) -> str:
        if self._subnet.version == 4:
            return str(ipaddress.IPv4Address(value))
        return str(ipaddress.IPv6Address(value))


def overlapping(subnet: IPNetwork, others: Iterable[IPNetwork]) -> bool:
    """Whether ``subnet`` shares an address with any of ``others``."""
    for other in others:
        if subnet.version != other.version:
            continue
        if int(subnet[0]) <= int(other[-1]) and int(other[0]) <= int(subnet[-1]):
            return True
    return False
