"""Volumes: named directories under ``data/volumes/<name>/_data`` that outlive containers."""

import asyncio
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from solva.clock import Clock, rfc3339
from solva.errors import Conflict, InvalidParameter, NotFound, SystemFailure
from solva.events.bus import EventBus
from solva.ids import new_id
from solva.kernel import files
from solva.store.sqlite import Store
from solva.volumes import local

VOLUME_KIND = "volume"
ANONYMOUS = "com.docker.volume.anonymous"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_LIST_FILTERS = {"dangling", "driver", "label", "name"}
_PRUNE_FILTERS = {"label", "label!", "all"}
Json = dict[str, Any]
Filters = dict[str, list[str]]
Rows = list[Json]
Names = list[str]


class Volume(msgspec.Struct, frozen=True):
    """Stored. ``created`` in nanoseconds; labels and options None when none were given (Docker shows null then)."""

    name: str
    created: int
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None


def _nobody(_: str) -> list[str]:
    return []


class VolumeService:
    """One an engine. ``in_use``: ids of the containers that name a volume, running or not; given by the engine."""

    def __init__(self, root: Path, store: Store, bus: EventBus, clock: Clock) -> None:
        self.in_use: Callable[[str], list[str]] = _nobody
        self._root = root
        self._store = store
        self._bus = bus
        self._clock = clock
        root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._volumes = {volume.name: volume for volume in store.all(VOLUME_KIND, Volume)}
        self._users: dict[str, set[str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        """Finish removals that a killed engine began."""
        for name in os.listdir(self._root):
            if name.startswith(".removed-"):
                await asyncio.to_thread(files.remove_tree, self._root / name)

    # -- reading

    def mountpoint(self, name: str) -> Path:
        return self._root / name / "_data"

    def get(self, name: str) -> Volume:
        """NotFound ``get X: no such volume``."""
        volume = self._volumes.get(name)
        if volume is None:
            raise NotFound(f"get {name}: no such volume")
        return volume

    def has(self, name: str) -> bool:
        return name in self._volumes

    def wire(self, volume: Volume) -> Json:
        """The API's object."""
        return {
            "CreatedAt": rfc3339(volume.created)[:19] + "Z", "Driver": "local", "Labels": volume.labels,
            "Mountpoint": str(self.mountpoint(volume.name)), "Name": volume.name, "Options": volume.options,
            "Scope": "local",
        }

    async def inspect(self, name: str) -> Json:
        return self.wire(self.get(name))

    async def list(self, filters: Filters) -> Rows:
        """Rows of GET /volumes, by name."""
        for key in filters:
            if key not in _LIST_FILTERS:
                raise InvalidParameter(f"invalid filter '{key}'")
        return [self.wire(volume) for volume in sorted(self._volumes.values(), key=lambda item: item.name)
                if self._passes(volume, filters)]

    def _passes(self, volume: Volume, filters: Filters) -> bool:
        if filters.get("driver") and "local" not in filters["driver"]:
            return False
        if filters.get("name") and not any(text in volume.name for text in filters["name"]):
            return False
        if filters.get("dangling") and _truth(filters, "dangling") == bool(self.users(volume.name)):
            return False
        return _labelled(volume.labels or {}, filters)

    def users(self, name: str) -> Names:
        """Containers (and builds) that use a volume."""
        return [*dict.fromkeys([*self.in_use(name), *sorted(self._users.get(name, ()))])]

    async def usage_rows(self) -> Rows:
        """Rows with ``UsageData`` for GET /system/df."""
        rows = []
        for volume in sorted(self._volumes.values(), key=lambda item: item.name):
            size = -1 if local.needs_mount(volume.options or {}) else await asyncio.to_thread(
                files.tree_size, self.mountpoint(volume.name))
            rows.append({**self.wire(volume), "UsageData": {"RefCount": len(self.users(volume.name)), "Size": size}})
        return rows

    # -- changing

    async def create(
        self, name: str = "", driver: str = "local", options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> Json:
        """The volume as the API shows it; one that exists is returned as it is. An empty name makes it anonymous."""
        if driver not in ("", "local"):
            raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
        if not name:
            name = new_id()
            labels = {**(labels or {}), ANONYMOUS: ""}
        if len(name) == 1:
            raise InvalidParameter(
                f"create {name}: volume name is too short, names should be at least two alphanumeric characters")
        if not _NAME.match(name):
            raise InvalidParameter(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path')
        known = self._volumes.get(name)
        if known is not None:
            return self.wire(known)
        try:
            local.check(options or {})
        except InvalidParameter as error:
            raise InvalidParameter(f"create {name}: {error}") from error
        volume = Volume(name, self._clock.time_ns(), labels, options)
        try:
            directory = self._root / name
            directory.mkdir(exist_ok=True)
            directory.chmod(0o701)
            data = self.mountpoint(name)
            data.mkdir(exist_ok=True)
            data.chmod(0o755)
        except OSError as error:
            raise SystemFailure(f"create {name}: {(error.strerror or str(error)).lower()}") from error
        self._store.put(VOLUME_KIND, name, volume)
        self._volumes[name] = volume
        self._bus.publish("volume", "create", name, {"driver": "local"})
        return self.wire(volume)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Conflict while a container names it; ``force`` only forgives a missing one."""
        if name not in self._volumes:
            if force:
                return
            raise NotFound(f"get {name}: no such volume")
        users = self.users(name)
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        if (self._volumes[name].options or {}).get("device"):
            await asyncio.to_thread(local.detach, self.mountpoint(name))
        doomed = self._root / f".removed-{name}-{time.monotonic_ns()}"
        self._store.delete(VOLUME_KIND, name)
        del self._volumes[name]
        self._locks.pop(name, None)
        try:
            os.rename(self._root / name, doomed)
            await asyncio.to_thread(files.remove_tree, doomed)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise SystemFailure(f"remove {name}: {(error.strerror or str(error)).lower()}") from error
        self._bus.publish("volume", "destroy", name, {"driver": "local"})

    async def prune(self, filters: Filters) -> tuple[Names, int]:
        """Unused anonymous volumes (``all=true``: named ones too): their names and the bytes freed."""
        for key in filters:
            if key not in _PRUNE_FILTERS:
                raise InvalidParameter(f"invalid filter '{key}'")
        everything = bool(filters.get("all")) and _truth(filters, "all")
        names: Names = []
        freed = 0
        for volume in [*self._volumes.values()]:
            labels = volume.labels or {}
            if (not everything and ANONYMOUS not in labels) or self.users(volume.name):
                continue
            if not _labelled(labels, filters):
                continue
            size = await asyncio.to_thread(files.tree_size, self.mountpoint(volume.name))
            try:
                await self.remove(volume.name)
            except Conflict:
                continue      # a container took it meanwhile
            names.append(volume.name)
            freed += size
        self._bus.publish("volume", "prune", "", {"reclaimed": str(freed)})
        return names, freed

    # -- using

    async def mount(self, name: str, user: str) -> Path:
        """The directory to bind into ``user``'s root; what the options name is mounted at the first use."""
        volume = self.get(name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            if local.needs_mount(volume.options or {}):
                await asyncio.to_thread(local.attach, volume.options or {}, self.mountpoint(name))
            self._users.setdefault(name, set()).add(user)
        self._bus.publish("volume", "mount", name, {"container": user, "driver": "local"})
        return self.mountpoint(name)

    async def unmount(self, name: str, user: str) -> None:
        """``user`` needs it no longer; fine when it never did."""
        users = self._users.get(name, set())
        known = user in users      # not after a restart of the engine: the mount is let go all the same
        users.discard(user)
        volume = self._volumes.get(name)
        if volume is not None and not users and local.needs_mount(volume.options or {}):
            async with self._locks.setdefault(name, asyncio.Lock()):
                await asyncio.to_thread(local.detach, self.mountpoint(name))
        if known:
            self._bus.publish("volume", "unmount", name, {"container": user, "driver": "local"})

    async def populate(self, name: str, source: Path) -> None:
        """A volume without content takes that of the image's directory ``source`` (already resolved inside the root
        filesystem by the caller), and its owner and mode. Nothing happens when either side does not fit."""
        target = self.mountpoint(name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            try:
                await asyncio.to_thread(_populate, source, target)
            except OSError as error:
                raise SystemFailure(
                    f"failed to populate volume {name}: {(error.strerror or str(error)).lower()}") from error


def _populate(source: Path, target: Path) -> None:
    try:
        info = source.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(info.st_mode) or any(target.iterdir()):
        return
    try:
        files.copy_tree(source, target)
    except BaseException:      # half a copy would pass for content the next time
        for entry in list(target.iterdir()):
            files.remove_tree(entry)
        raise


def _truth(filters: Filters, key: str) -> bool:
    value = filters[key][0].lower()
    if value in ("1", "true", "t"):
        return True
    if value in ("0", "false", "f"):
        return False
    raise InvalidParameter(f"invalid filter '{key}={filters[key][0]}'")


def _labelled(labels: dict[str, str], filters: Filters) -> bool:
    def has(text: str) -> bool:
        key, equals, value = text.partition("=")
        return key in labels and (not equals or labels[key] == value)

    return all(has(text) for text in filters.get("label", ())) and not any(
        has(text) for text in filters.get("label!", ()))
