"""Who listens on the engine's machine: the ports a new container could not have, with the process that has them.

Read from /proc of the engine's own network namespace, so only where the engine is on this machine.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.client.transport import Transport

_LISTEN = "0A"


class Listener:
    """One socket: protocol, address ("" for any), port, and who has it ("" where that cannot be seen)."""

    __slots__ = ("address", "owner", "port", "protocol")

    def __init__(self, protocol: str, address: str, port: int, owner: str) -> None:
        self.protocol = protocol
        self.address = address
        self.port = port
        self.owner = owner


def engine_pid(api: Transport) -> int:
    """The engine's process; 0 where it is not on this machine or may not be looked at."""
    if not api.endpoint.startswith("unix://"):
        return 0
    import socket
    import struct

    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(api.endpoint[7:])
        pid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    except OSError:
        return 0
    finally:
        sock.close()
    return pid if os.path.exists(f"/proc/{pid}/net/tcp") else 0


def listeners(pid: int, ports: set[int]) -> list[Listener]:
    """The sockets on ``ports`` in the network namespace of ``pid``."""
    found: list[tuple[str, str, int, str]] = []
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        try:
            with open(f"/proc/{pid}/net/{protocol}", encoding="ascii") as stream:
                rows = stream.read().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            address, _, port = fields[1].partition(":")
            wanted = int(port, 16) in ports and (fields[3] == _LISTEN or protocol.startswith("udp"))
            if wanted and (protocol.startswith("tcp") or fields[2].endswith(":0000")):
                found.append((protocol.rstrip("6"), _address(address), int(port, 16), fields[9]))
    owners = _owners({inode for *_, inode in found}) if found else {}
    return [Listener(protocol, address, port, owners.get(inode, "")) for protocol, address, port, inode in found]


def _address(text: str) -> str:
    import ipaddress

    raw = b"".join(bytes.fromhex(text[index: index + 8])[::-1] for index in range(0, len(text), 8))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return "" if address.is_unspecified else str(mapped or address)


def _owners(inodes: set[str]) -> dict[str, str]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, str] = {}
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                inode = wanted.get(os.readlink(f"/proc/{pid}/fd/{name}"))
                if inode is not None:
                    found[inode] = _process(pid)
        except OSError:
            continue
        if len(found) == len(wanted):
            break
    return found


def _process(pid: str) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as stream:
        words = stream.read().decode(errors="replace").replace("\0", " ").strip()
    if not words:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            words = comm.read().strip()
    return f"process {pid} ({words[:60]})"
