"""Linux capabilities: Docker's default set, and adding and dropping."""

from __future__ import annotations

from pathlib import Path

from solva.errors import InvalidParameter

DEFAULT = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
ALL = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)


def known() -> tuple[str, ...]:
    """What this kernel has and our own process may give away."""
    try:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        last = len(ALL) - 1
    bounding = (1 << len(ALL)) - 1
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            bounding = int(line.split()[1], 16)
    return tuple(name for number, name in enumerate(ALL) if number <= last and bounding >> number & 1)


def normalize(names: list[str], field: str = "CapAdd") -> list[str]:
    """Upper case with CAP_ in front; ALL stays. InvalidParameter for an unknown one."""
    result = []
    for name in names:
        upper = name.upper()
        if upper == "ALL":
            result.append(upper)
            continue
        if not upper.startswith("CAP_"):
            upper = f"CAP_{upper}"
        if upper not in ALL:
            raise InvalidParameter(f'invalid {field}: unknown capability: "{upper}"')
        result.append(upper)
    return result


def resolve(add: list[str], drop: list[str], *, privileged: bool) -> tuple[str, ...]:
    """The capabilities of a container."""
    available = known()
    if privileged:
        return available
    added, dropped = normalize(add), normalize(drop, "CapDrop")
    if "ALL" in added:
        base: tuple[str, ...] = available
    elif "ALL" in dropped:
        base = ()
    else:
        base = tuple(name for name in DEFAULT if name in available)
    kept = [name for name in base if name not in dropped]
    return tuple(kept + [name for name in added if name != "ALL" and name not in kept])
