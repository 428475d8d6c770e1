"""Whether the conditions of an nftables rule (its JSON form) are met by a packet: yes, no, or not to be told. Pure."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
Sets: TypeAlias = Mapping[str, list[Any]]
_VERDICTS = ("accept", "drop", "reject", "return", "jump", "goto", "queue")
_NEUTRAL = ("counter", "log", "comment", "mangle", "notrack", "meter", "ct helper", "quota", "nftrace")
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132}


class Truth(enum.Enum):
    """Three values."""

    NO = 0
    UNKNOWN = 1
    YES = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a flow, as the filter hooks see it. ``hook``: forward, input, output. Interfaces "" where
    there is none; ``translated``: its destination was another before (a published port)."""

    hook: str
    incoming: str
    outgoing: str
    source: str
    destination: str
    proto: str = "tcp"
    port: int = 0
    translated: bool = False

    @property
    def version(self) -> int:
        return 6 if ":" in self.destination else 4


def all_true(parts: Sequence[Json], text: str, packet: Packet, sets: Sets) -> Truth:
    """All conditions of a rule together."""
    result = Truth.YES
    for part in parts:
        (kind, value), = part.items()
        if kind == "match":
            truth = _match(value, packet, sets)
        elif kind == "xt":
            truth = _extension(value or {}, text)
        elif kind in _VERDICTS or kind == "vmap" or kind in _NEUTRAL:
            continue
        else:
            truth = Truth.UNKNOWN      # limit, connection counts, sets that change with the traffic
        if truth is Truth.NO:
            return truth
        if truth is Truth.UNKNOWN:
            result = truth
    return result


def verdicts(parts: Sequence[Json], packet: Packet, sets: Sets) -> Iterator[tuple[str, str]]:
    """(verdict, target) of a rule whose conditions are met; several where a map's choice cannot be told."""
    for part in parts:
        (kind, value), = part.items()
        if kind in _VERDICTS:
            yield kind, value.get("target", "") if isinstance(value, dict) else ""
        elif kind == "vmap":
            yield from _mapped(value, packet, sets)
        elif kind == "xt" and (value or {}).get("type") == "target" and value.get("name") in ("REJECT", "TARPIT"):
            yield "reject", ""


def _mapped(value: Json, packet: Packet, sets: Sets) -> Iterator[tuple[str, str]]:
    data = value.get("data")
    rows = sets.get(data[1:], []) if isinstance(data, str) else (data or {}).get("set", [])
    known = _left(value.get("key"), packet)
    if known is None:
        return
    for key, verdict in rows:
        if _holds(known, key, sets) is Truth.YES and isinstance(verdict, dict):
            (kind, target), = verdict.items()
            yield kind, target.get("target", "") if isinstance(target, dict) else ""
            return


def _match(value: Json, packet: Packet, sets: Sets) -> Truth:
    known = _left(value.get("left"), packet)
    if known is None:
        return Truth.UNKNOWN
    operator = value.get("op", "==")
    if operator not in ("==", "!=", "in"):
        return Truth.UNKNOWN
    truth = _holds(known, value.get("right"), sets)
    if operator == "!=" and truth is not Truth.UNKNOWN:
        return Truth.NO if truth is Truth.YES else Truth.YES
    return truth


def _left(left: Any, packet: Packet) -> frozenset[str] | None:
    """Everything the left side is, as texts; None where it cannot be told."""
    if not isinstance(left, dict):
        return None
    (kind, value), = left.items()
    if kind == "meta":
        return _meta(value.get("key", ""), packet)
    if kind == "payload":
        return _payload(value.get("protocol", ""), value.get("field", ""), packet)
    if kind == "ct" and value.get("key") == "state":
        return frozenset(("new",))
    if kind == "ct" and value.get("key") == "status":
        return frozenset(("dnat",) if packet.translated else ("confirmed",))
    if kind == "fib" and value.get("result") == "type" and value.get("flags") == ["daddr"]:
        return frozenset(("local" if packet.hook == "input" else "unicast",))
    return None


def _meta(key: str, packet: Packet) -> frozenset[str] | None:
    if key in ("iifname", "iif"):
        return frozenset((packet.incoming,))
    if key in ("oifname", "oif"):
        return frozenset((packet.outgoing,))
    if key in ("l4proto", "protocol"):
        number = _PROTOCOLS.get(packet.proto, 0)
        if key == "protocol":
            return frozenset(("ip", "8") if packet.version == 4 else ("ip6", "34525"))
        return frozenset((packet.proto, str(number)))
    if key == "nfproto":
        return frozenset(("ipv4", "2") if packet.version == 4 else ("ipv6", "10"))
    return None


def _payload(protocol: str, name: str, packet: Packet) -> frozenset[str] | None:
    if protocol in ("ip", "ip6"):
        if (protocol == "ip") != (packet.version == 4):
            return frozenset()
        if name in ("saddr", "daddr"):
            return frozenset((packet.source if name == "saddr" else packet.destination,))
        if name in ("protocol", "nexthdr"):
            return frozenset((packet.proto, str(_PROTOCOLS.get(packet.proto, 0))))
        return None
    if protocol in ("tcp", "udp", "th", "sctp"):
        if protocol not in ("th", packet.proto):
            return frozenset()
        return frozenset((str(packet.port),)) if name == "dport" else None
    if protocol in ("icmp", "icmpv6"):
        return None if packet.proto.endswith("icmp") else frozenset()
    return None


def _holds(known: frozenset[str], right: Any, sets: Sets) -> Truth:
    """Whether one of the values is what the right side says."""
    if isinstance(right, list):
        return _any(known, right, sets)
    if isinstance(right, dict):
        (kind, value), = right.items()
        if kind == "set":
            return _any(known, value if isinstance(value, list) else [value], sets)
        if kind == "prefix":
            return _within(known, f"{value['addr']}/{value['len']}")
        if kind == "range":
            return _between(known, value)
        if kind == "elem":
            return _holds(known, value.get("val"), sets)
        return Truth.UNKNOWN
    text = str(right)
    if text.startswith("@"):
        rows = sets.get(text[1:])
        return Truth.UNKNOWN if rows is None else _any(known, rows, sets)
    if text.endswith("*"):
        return Truth.YES if any(each.startswith(text[:-1]) for each in known) else Truth.NO
    return Truth.YES if text in known else Truth.NO


def _any(known: frozenset[str], rows: list[Any], sets: Sets) -> Truth:
    result = Truth.NO
    for row in rows:
        truth = _holds(known, row[0] if isinstance(row, list) else row, sets)
        if truth is Truth.YES:
            return truth
        if truth is Truth.UNKNOWN:
            result = truth
    return result


def _within(known: frozenset[str], prefix: str) -> Truth:
    try:
        network = ipaddress.ip_network(prefix, strict=False)
        return Truth.YES if any(ipaddress.ip_address(each) in network for each in known) else Truth.NO
    except ValueError:
        return Truth.UNKNOWN


def _between(known: frozenset[str], value: Any) -> Truth:
    try:
        low, high = value
        for each in known:
            if "." in each or ":" in each:
                if int(ipaddress.ip_address(low)) <= int(ipaddress.ip_address(each)) <= int(ipaddress.ip_address(high)):
                    return Truth.YES
            elif int(low) <= int(each) <= int(high):
                return Truth.YES
    except (ValueError, TypeError):
        return Truth.UNKNOWN
    return Truth.NO


def _extension(value: Json, text: str) -> Truth:
    """A match of iptables: nft's JSON has its name only, its text has it translated."""
    if value.get("type") == "target" or value.get("name") == "comment":
        return Truth.YES
    if value.get("name") in ("conntrack", "state"):
        found = re.search(r"ct state (!= )?([\w,]+)", text)
        if found and not found[1]:
            return Truth.YES if "new" in found[2].split(",") else Truth.NO
    return Truth.UNKNOWN
