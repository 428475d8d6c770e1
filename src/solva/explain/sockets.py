"""Who listens in a network namespace, as the kernel lists it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from solva.dns import paths
from solva.explain.facts import Listener
from solva.kernel.setns import in_netns

_LISTEN, _UNCONNECTED = "0A", "07"


def listeners(netns: str) -> tuple[Listener, ...]:
    """TCP sockets that listen and UDP sockets that are not connected, in the namespace at a path ("": this thread's).
    Blocks for a millisecond."""
    found = in_netns(netns, _read) if netns else _read()
    found = [each for each in found if (each.address, each.port) != (paths.ADDRESS, paths.PORT)]      # the name server
    return tuple(sorted(dict.fromkeys(found), key=lambda each: (each.port, each.proto, each.address)))


def _read() -> list[Listener]:
    found = []
    for proto, state in (("tcp", _LISTEN), ("udp", _UNCONNECTED)):
        for table in (proto, f"{proto}6"):
            try:
                lines = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
            except OSError:
                continue
            for line in lines:
                fields = line.split()
                local, _, port = fields[1].rpartition(":")
                if fields[3] == state:
                    found.append(Listener(proto, _address(local), int(port, 16)))
    return found


def _address(text: str) -> str:
    """The kernel writes addresses as host-endian words in hex."""
    packed = b"".join(int(text[i:i + 8], 16).to_bytes(4, "little") for i in range(0, len(text), 8))
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
