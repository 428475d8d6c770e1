"""The ``local`` driver's options: ``type``, ``device``, ``o`` as mount(8) takes them; ``size`` needs quotas."""

import os
import socket
from pathlib import Path

from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import mount

_KNOWN = {"type", "o", "device", "size"}
_NETWORK_TYPES = ("nfs", "nfs4", "cifs")


def check(options: dict[str, str]) -> None:
    """InvalidParameter in Docker's words."""
    for key in options:
        if key not in _KNOWN:
            raise InvalidParameter(f'invalid option: "{key}"')
    if "size" in options:
        raise InvalidParameter("quota size requested but no quota support")
    if not options:
        return
    for key in ("device", "type"):
        if not options.get(key) and not (key == "type" and _binds(options)):
            raise InvalidParameter(f'missing required option: "{key}"')


def _binds(options: dict[str, str]) -> bool:
    return any(item in ("bind", "rbind") for item in options.get("o", "").split(","))


def needs_mount(options: dict[str, str]) -> bool:
    return bool(options.get("device"))


def attach(options: dict[str, str], target: Path) -> None:
    """Mount what the options name at ``target`` (blocking; fine when it is mounted). SystemFailure."""
    if mount.is_mountpoint(target):
        return
    flags, data = mount.parse_options(options.get("o", ""))
    kind, device = options.get("type", ""), options["device"]
    if kind in _NETWORK_TYPES:
        data = _resolved(data)
    shown = f"failed to mount local volume: mount {device}:{target}"
    if _binds(options):
        kind = "none"
        if not os.path.exists(device):
            raise SystemFailure(f"{shown}, flags: {hex(flags)}: no such file or directory")
    try:
        mount.mount(device, target, kind if kind != "none" else None, flags, data or None)
        if flags & mount.MS_BIND and flags & mount.MS_RDONLY:
            mount.mount(device, target, None, flags | mount.MS_REMOUNT, None)
    except OSError as error:
        extra = f", data: {data}" if data else ""
        reason = os.strerror(error.errno or 0).lower()
        raise SystemFailure(f"{shown}, flags: {hex(flags)}{extra}: {reason}") from error


def _resolved(data: str) -> str:
    """The kernel's network filesystems want ``addr=`` as an address."""
    items = []
    for item in data.split(","):
        if item.startswith("addr="):
            try:
                item = "addr=" + socket.gethostbyname(item[5:])
            except OSError as error:
                raise SystemFailure(f"error resolving passed in network volume address: {error}") from error
        items.append(item)
    return ",".join(items)


def detach(target: Path) -> None:
    """Unmount; fine when it is not mounted."""
    try:
        mount.umount(target, mount.UMOUNT_NOFOLLOW)
    except OSError as error:
        raise SystemFailure(f"error while unmounting volume: {error.strerror}: {target}") from error
