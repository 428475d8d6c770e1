"""The short syntaxes: ``8080:80/tcp`` of ports and ``data:/var/lib:ro`` of volumes."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PORT = re.compile(r"(\d+)(?:-(\d+)(?:-.*)?)?\Z", re.ASCII)
_PROPAGATION = frozenset(("rprivate", "private", "rshared", "shared", "rslave", "slave"))


def short_port(spec: str) -> list[dict[str, Any]]:
    """``[[HOST:]PUBLISHED:]TARGET[/PROTOCOL]``; a range becomes an item a port."""
    parts = spec.rsplit(":", 2)
    host, published, target = ["", "", *parts][-3:] if len(parts) < 3 else parts
    target, _, protocol = target.partition("/")
    protocol = protocol.partition("/")[0].lower() or "tcp"
    if host[:1] == "[" and host[-1:] == "]":
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"Invalid ip address {host}: too many colons in address; write [{host}]:{published}:{target}")
    if host and not is_address(host):
        raise ValueError(f"Invalid ip address: {host} (in port '{spec}')")
    if not target:
        raise ValueError(f"No port specified: {spec}<empty>")
    first, last = _range(target, "containerPort", spec)
    low, high = _range(published, "hostPort", spec) if published else (0, 0)
    if protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"Invalid proto: {protocol} (in port '{spec}'; tcp, udp or sctp)")
    if published and high - low != last - first and first != last:
        raise ValueError(f"Invalid ranges specified for container and host Ports: {target} and {published}")
    items: list[dict[str, Any]] = []
    for offset in range(last - first + 1):
        item: dict[str, Any] = {"mode": "ingress", "target": first + offset, "protocol": protocol}
        if not item["target"]:
            raise ValueError(f"service ports: port 0 is no target port (in '{spec}')")
        if host:
            item["host_ip"] = host
        if published:
            item["published"] = f"{low}-{high}" if first == last and low != high else str(low + offset)
        items.append(item)
    items.sort(key=lambda item: f"{item['target']}/{protocol}")
    return items


def _range(spec: str, what: str, whole: str) -> tuple[int, int]:
    found = _PORT.match(spec)
    low, high = (int(found[1]), int(found[2] or found[1])) if found is not None else (1, 0)
    if high < low or high > 65535:
        shown = f" (in port '{whole}')" if spec != whole else ""
        raise ValueError(f"Invalid {what}: {spec}{shown}")
    return low, high


def is_address(host: str) -> bool:
    """Whether ``host`` is an IP address."""
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return True
        except (OSError, ValueError):
            continue
    return False


def is_path(source: str) -> bool:
    """Whether a source is a place on the host rather than a volume's name."""
    return (source.startswith((".", "/", "~", "\\\\")) or _drive(source[:1], source[1:2]))


def _drive(letter: str, follow: str) -> bool:
    return follow == ":" and len(letter) == 1 and letter.isalpha()


def sections(spec: str) -> list[str]:
    """The parts between colons; a drive letter's colon and those inside ``${...}`` are no separators."""
    parts = [""]
    depth = 0
    for index, char in enumerate(spec):
        if char == "$" and spec[index + 1: index + 2] == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif char == ":" and not depth and not (len(parts[-1]) == 1 and parts[-1].isalpha()):
            parts.append("")
            continue
        parts[-1] += char
    return parts


def short_volume(spec: str) -> dict[str, Any]:
    """``[SOURCE:]TARGET[:OPTIONS]``; options that are not known are passed over, as Compose does."""
    if not spec:
        raise ValueError("invalid empty volume spec")
    if len(spec) <= 2:
        return {"type": "volume", "target": spec}
    parts = sections(spec)
    if "" in parts:
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    result: dict[str, Any] = {"type": "bind" if is_path(source) else "volume"}
    if source:
        result["source"] = source
    result["target"] = target
    bind: dict[str, Any] = {}
    volume: dict[str, Any] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            result["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in _PROPAGATION:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if not result.get("read_only"):
        result.pop("read_only", None)
    if result["type"] == "bind":
        bind["create_host_path"] = True
    if bind:
        result["bind"] = bind
    if volume or result["type"] == "volume":
        result["volume"] = volume
    return result
