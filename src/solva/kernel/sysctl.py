"""Kernel parameters below /proc/sys/net. They are those of the calling thread's network namespace."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/proc/sys/net")


def read(name: str) -> str:
    """The value of e.g. ``ipv4/ip_forward``, "" where the kernel has no such parameter."""
    try:
        return (_ROOT / name).read_text().strip()
    except FileNotFoundError:
        return ""


def write(name: str, value: str) -> None:
    """OSError names the parameter."""
    (_ROOT / name).write_text(value)


def write_if_there(name: str, value: str) -> None:
    """For parameters of an IPv6 or a bridge filter that a kernel may lack."""
    try:
        write(name, value)
    except FileNotFoundError:
        pass
