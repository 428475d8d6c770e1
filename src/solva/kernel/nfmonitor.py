"""Changes of nftables as the kernel tells them (nfnetlink, group NFTABLES), each with the process that made it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from solva.kernel import netlink

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP_NFTABLES = 7
_SUBSYSTEM = 10
_NEW_GENERATION = 15
_TABLE_NAME, _PROC_PID, _PROC_NAME = 1, 2, 3
_NFGENMSG = 4
_HEADER = struct.Struct("=IHHII")
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_BUFFER = 4 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """One committed transaction. ``tables``: ``family name`` of those it touched. ``thread``: kernel's number of the
    thread that did it, ``program`` its name. ``lost``: the kernel had more to say than was read: anything may be."""

    tables: frozenset[str]
    thread: int = 0
    program: str = ""
    lost: bool = False

    def own(self) -> bool:
        """Whether a thread of this process did it."""
        return os.path.exists(f"/proc/self/task/{self.thread}")

    def who(self) -> str:
        """``nft flush ruleset (pid 1234)``, as far as the process is still there to be asked."""
        if not self.thread:
            return "an unknown process"
        try:
            status = Path(f"/proc/{self.thread}/status").read_text()
            pid = int(status.partition("Tgid:")[2].split()[0])
            words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            command = " ".join(word.decode(errors="replace") for word in words)
        except (OSError, ValueError, IndexError):
            pid, command = self.thread, ""
        command = command if len(command) <= 80 else command[:77] + "..."
        return f"{command or self.program or 'a process'} (pid {pid})"


class Monitor:
    """Calls ``changed`` on the loop for every transaction in the network namespace of the thread that makes it."""

    def __init__(self, changed: Callable[[Change], None]) -> None:
        self._changed = changed
        self._tables: set[str] = set()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                                     netlink.NETLINK_NETFILTER)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._socket, self._read)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        for _ in range(64):      # then others get their turn
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._tables.clear()
                self._changed(Change(frozenset(), lost=True))
                continue
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        position = 0
        while position + _HEADER.size + _NFGENMSG <= len(data):
            size, kind, _, _, _ = _HEADER.unpack_from(data, position)
            body = data[position + _HEADER.size:position + size]
            position += max((size + 3) & ~3, _HEADER.size)
            if kind >> 8 != _SUBSYSTEM:
                continue
            values = netlink.attributes(body[_NFGENMSG:])
            if kind & 0xFF == _NEW_GENERATION:
                tables, self._tables = frozenset(self._tables), set()
                program = values.get(_PROC_NAME, b"").rstrip(b"\0").decode(errors="replace")
                self._changed(Change(tables, int.from_bytes(values.get(_PROC_PID, b""), "big"), program))
            elif name := values.get(_TABLE_NAME):
                self._tables.add(f"{_FAMILIES.get(body[0], body[0])} {name.rstrip(bytes(1)).decode()}")
