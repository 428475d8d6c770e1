"""The ``local`` driver: a directory a volume, ``<root>/<name>/_data``, over which its options may mount something:
``type``, ``device``, ``o`` as mount(8) takes them (``size`` needs quotas)."""

import asyncio
import os
import re
import socket
import time
from pathlib import Path

from solva.errors import InvalidParameter, SystemFailure
from solva.kernel import files, mount
from solva.volumes.base import Found

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_KNOWN = {"type", "o", "device", "size"}
_NETWORK_TYPES = ("nfs", "nfs4", "cifs")


class LocalDriver:
    """``VolumeDriver``."""

    name = "local"
    scope = "local"

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o711)

    def mountpoint(self, name: str) -> Path:
        return self._root / name / "_data"

    async def sweep(self, known: set[str]) -> None:
        """Finish removals that a killed engine began, and drop the empty directory of a volume that it never recorded.
        One with something in it stays whoever it belongs to: data is not removed because a record is missing."""
        for name in os.listdir(self._root):
            if name.startswith(".removed-"):
                await asyncio.to_thread(files.remove_tree, self._root / name)
            elif name not in known:
                for path in (self.mountpoint(name), self._root / name):
                    try:
                        path.rmdir()
                    except OSError:
                        break

    def check(self, name: str, options: dict[str, str]) -> None:
        if len(name) == 1:
            raise InvalidParameter("volume name is too short, names should be at least two alphanumeric characters")
        if not _NAME.match(name):
            raise InvalidParameter(
                f'"{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
                "allowed. If you intended to pass a host directory, use absolute path")
        check(options)

    async def create(self, name: str, options: dict[str, str] | None) -> None:
        try:
            directory = self._root / name
            directory.mkdir(exist_ok=True)
            directory.chmod(0o701)
            data = self.mountpoint(name)
            data.mkdir(exist_ok=True)
            data.chmod(0o755)
        except OSError as error:
            raise SystemFailure((error.strerror or str(error)).lower()) from error

    async def remove(self, name: str, options: dict[str, str] | None) -> None:
        if needs_mount(options or {}):
            await asyncio.to_thread(detach, self.mountpoint(name))
        doomed = self._root / f".removed-{name}-{time.monotonic_ns()}"
        try:
            os.rename(self._root / name, doomed)
            await asyncio.to_thread(files.remove_tree, doomed)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise SystemFailure((error.strerror or str(error)).lower()) from error

    async def mount(self, name: str, options: dict[str, str] | None, user: str) -> Path:
        if needs_mount(options or {}):
            await asyncio.to_thread(attach, options or {}, self.mountpoint(name))
        return self.mountpoint(name)

    async def unmount(self, name: str, options: dict[str, str] | None, user: str, *, last: bool) -> None:
        if last and needs_mount(options or {}):
            await asyncio.to_thread(detach, self.mountpoint(name))

    async def get(self, name: str) -> Found | None:
        return Found(name, str(self.mountpoint(name)))


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
