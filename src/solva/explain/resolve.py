"""What a container's own resolver says of a name: its hosts file, then the name server its resolv.conf names."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

from solva.dns import message
from solva.kernel.setns import in_netns

_SECONDS = 2.0


def ask(netns: str, hosts: str, resolv_conf: str, name: str) -> tuple[str, ...]:
    """Addresses, IPv4 first; empty when the name is not known or nobody answers. Blocks for up to some seconds."""
    found = _in_hosts(hosts, name)
    if found:
        return found
    server = next((line.split()[1] for line in _lines(resolv_conf) if line.startswith("nameserver ")), "")
    if not server:
        return ()
    answers: list[str] = []
    for kind in (message.A, message.AAAA):
        try:
            answers += in_netns(netns, lambda kind=kind: _query(server, name, kind))  # type: ignore[misc]
        except (OSError, ValueError):
            continue
    return tuple(answers)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []


def _in_hosts(path: str, name: str) -> tuple[str, ...]:
    found = []
    for line in _lines(path):
        words = line.partition("#")[0].split()
        if name.lower() in (word.lower() for word in words[1:]):
            found.append(words[0])
    return tuple(found)


def _query(server: str, name: str, kind: int) -> list[str]:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    number = os.urandom(2)
    packet = (number + b"\1\0\0\1\0\0\0\0\0\0" + message.encode_name(name.rstrip(".").encode())
              + kind.to_bytes(2, "big") + b"\0\1")
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_SECONDS)
        asking.connect((server, 53))
        asking.send(packet)
        while True:
            answer = asking.recv(4096)
            if answer[:2] == number:
                return _addresses(answer, len(packet), kind)


def _addresses(answer: bytes, offset: int, kind: int) -> list[str]:
    """Records of the wanted type; names before them are skipped, compressed or not."""
    found = []
    for _ in range(int.from_bytes(answer[6:8], "big")):
        while offset < len(answer) and answer[offset] and answer[offset] & 0xC0 != 0xC0:
            offset += answer[offset] + 1
        offset += 2 if offset < len(answer) and answer[offset] & 0xC0 == 0xC0 else 1
        size = int.from_bytes(answer[offset + 8:offset + 10], "big")
        data = answer[offset + 10:offset + 10 + size]
        if int.from_bytes(answer[offset:offset + 2], "big") == kind and len(data) in (4, 16):
            found.append(str(ipaddress.ip_address(data)))
        offset += 10 + size
    return found
