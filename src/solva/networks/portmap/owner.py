"""Which process holds a port: /proc/net/* gives the socket's inode, /proc/*/fd who has it open."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process and its command line, shortened."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


def find(proto: str, address: str, port: int) -> Owner | None:
    """The holder of a port at an address (unspecified: any), None where it cannot be told."""
    inodes = _inodes(proto, address, port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            for descriptor in os.scandir(process / "fd"):
                if os.readlink(descriptor.path) in wanted:
                    return Owner(int(process.name), _command(process))
        except OSError:      # it has ended, or is not ours to look into
            continue
    return None


def _inodes(proto: str, address: str, port: int) -> set[str]:
    wanted = ipaddress.ip_address(address)
    found = set()
    for table, listening in ((proto, proto == "tcp"), (f"{proto}6", proto == "tcp")):
        try:
            lines = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            local, _, hex_port = fields[1].rpartition(":")
            if int(hex_port, 16) != port or (listening and fields[3] != _LISTEN):
                continue
            held = _address(local)
            if held.is_unspecified or wanted.is_unspecified or held == wanted:
                found.add(fields[9])
    found.discard("0")
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel writes addresses as host-endian words in hex."""
    words = b"".join(int(text[i:i + 8], 16).to_bytes(4, "little") for i in range(0, len(text), 8))
    return ipaddress.ip_address(words)


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        text = " ".join(word.decode(errors="replace") for word in words) or (process / "comm").read_text().strip()
    except OSError:
        return "a process"
    return text if len(text) <= 60 else text[:57] + "..."
