"""The policies of the old iptables, which nftables does not list: read from the kernel, never written."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from pathlib import Path

_HOOKS = {"INPUT": 1, "FORWARD": 2, "OUTPUT": 3}
_GET_INFO, _GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32sI5I5III")
_ENTRIES_HEAD = 40
_TARGET_OFFSET = {4: 88, 6: 140}      # within ipt_entry and ip6t_entry
_LEVEL = {4: 0, 6: 41}
_NAMES = {4: "ip_tables_names", 6: "ip6_tables_names"}
_ACCEPT = -2
_libc = ctypes.CDLL(None, use_errno=True)


def policies(version: int) -> dict[str, str]:
    """Chain of the table ``filter`` -> ``ACCEPT`` or ``DROP``; empty where the old iptables is not in use (asking does
    not load it) or cannot be read."""
    try:
        names = Path(f"/proc/thread-self/net/{_NAMES[version]}").read_text().split()
    except OSError:
        return {}
    if "filter" not in names:
        return {}
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            info = _INFO.unpack(_ask(raw, version, _GET_INFO, b"filter".ljust(_INFO.size, b"\0")))
            underflows, size = info[7:12], info[13]
            head = b"filter".ljust(32, b"\0") + struct.pack("=I", size)
            entries = _ask(raw, version, _GET_ENTRIES, head.ljust(_ENTRIES_HEAD, b"\0") + bytes(size))[_ENTRIES_HEAD:]
    except (OSError, struct.error):
        return {}
    found = {}
    for chain, hook in _HOOKS.items():
        at = underflows[hook]
        (target,) = struct.unpack_from("=H", entries, at + _TARGET_OFFSET[version])
        (verdict,) = struct.unpack_from("=i", entries, at + target + 32)
        found[chain] = "ACCEPT" if verdict == _ACCEPT else "DROP"
    return found


def _ask(raw: socket.socket, version: int, option: int, question: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(question, len(question))
    length = ctypes.c_uint32(len(question))
    if _libc.getsockopt(raw.fileno(), _LEVEL[version], option, buffer, ctypes.byref(length)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return buffer.raw[:length.value]
