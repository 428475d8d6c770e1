"""Volumes: directories that outlive containers, by name. Where they are is their driver's business (``drivers.py``)."""

import asyncio
import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from solva import faults
from solva.clock import Clock, rfc3339
from solva.errors import Conflict, InvalidParameter, NotFound, SolvaError, SystemFailure
from solva.events.bus import EventBus
from solva.ids import new_id
from solva.kernel import files
from solva.plugins.finder import Plugins
from solva.store.sqlite import Store
from solva.volumes.base import Found
from solva.volumes.drivers import Drivers
from solva.volumes.local import LocalDriver, needs_mount

VOLUME_KIND = "volume"
REMOVING_KIND = "volume-removing"
FILLING_KIND = "volume-filling"      # names of volumes that an image's files are being copied into
ANONYMOUS = "com.docker.volume.anonymous"
_LIST_FILTERS = {"dangling", "driver", "label", "name"}
_PRUNE_FILTERS = {"label", "label!", "all"}
Json = dict[str, Any]
Filters = dict[str, list[str]]
Rows = list[Json]
Names = list[str]
_log = logging.getLogger(__name__)


class Volume(msgspec.Struct, frozen=True):
    """Stored. ``created`` in nanoseconds; labels and options None when none were given (Docker shows null then)."""

    name: str
    created: int
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    driver: str = "local"


def _nobody(_: str) -> list[str]:
    return []


class VolumeService:
    """One an engine. ``in_use``: ids of the containers that name a volume, running or not; given by the engine."""

    def __init__(self, root: Path, store: Store, bus: EventBus, clock: Clock, plugins: Plugins | None = None) -> None:
        self.in_use: Callable[[str], list[str]] = _nobody
        self._local = LocalDriver(root)
        self._drivers = Drivers(self._local, plugins)
        self._store = store
        self._bus = bus
        self._clock = clock
        self._volumes = {volume.name: volume for volume in store.all(VOLUME_KIND, Volume)}
        self._users: dict[str, set[str]] = {}
        self._paths: dict[str, Path] = {}      # where plugins have mounted theirs
        self._locks: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        """Finish what a killed engine began: removals; and a copy of an image's files that came half way goes, so that
        the next use makes it anew."""
        for volume in self._store.all(REMOVING_KIND, Volume):
            try:
                driver = await self._drivers.get(volume.driver)
                await driver.remove(volume.name, volume.options)
            except SolvaError as error:
                _log.warning("volume %s: its removal by the engine before: %s", volume.name, error)
                if volume.driver == "local":
                    continue
            self._store.delete(REMOVING_KIND, volume.name)
        for name in self._store.all(FILLING_KIND, str):
            await asyncio.to_thread(_empty, self._local.mountpoint(name))
            self._store.delete(FILLING_KIND, name)
        await self._local.sweep(set(self._volumes))

    # -- reading

    def mountpoint(self, name: str) -> Path:
        """Of a local volume, or of a plugin's that is mounted."""
        return self._paths.get(name) or self._local.mountpoint(name)

    def drivers(self) -> Names:
        """Those that can be used or have been, for /info."""
        return self._drivers.names()

    async def inspect(self, name: str) -> Json:
        """NotFound ``get X: no such volume``; of a plugin's volume what the plugin says of it now."""
        volume = self._volumes.get(name)
        if volume is None:
            volume, found = await self._foreign(name)
            return self._wire(volume, found, await self._scope(volume))
        if volume.driver == "local":
            return self._wire(volume)
        try:
            driver = await self._drivers.get(volume.driver)
            known = await driver.get(name)
        except SolvaError as error:
            raise type(error)(f'get {name}: error while checking if volume "{name}" exists in driver '
                              f'"{volume.driver}": {error}') from error
        if known is None:
            raise NotFound(f"get {name}: no such volume: driver {volume.driver} has lost it")
        return self._wire(volume, known, driver.scope)

    async def _foreign(self, name: str) -> tuple[Volume, Found]:
        """One that a plugin has and nobody has used yet."""
        found = await self._drivers.lookup(name)
        if found is None:
            raise NotFound(f"get {name}: no such volume")
        return Volume(name, 0, driver=found[0]), found[1]

    async def _scope(self, volume: Volume) -> str:
        return (await self._drivers.get(volume.driver)).scope

    def _wire(self, volume: Volume, found: Found | None = None, scope: str = "local") -> Json:
        """The API's object."""
        mountpoint = str(self._local.mountpoint(volume.name)) if volume.driver == "local" else ""
        row: Json = {
            "CreatedAt": rfc3339(volume.created)[:19] + "Z", "Driver": volume.driver, "Labels": volume.labels,
            "Mountpoint": mountpoint, "Name": volume.name, "Options": volume.options, "Scope": scope,
        }
        if volume.driver != "local":
            path = self._paths.get(volume.name)
            row["Mountpoint"] = found.mountpoint if found and found.mountpoint else str(path or "")
            if found and found.created:
                row["CreatedAt"] = found.created
            elif not volume.created:
                del row["CreatedAt"]
            if found and found.status:
                row["Status"] = found.status
        return row

    async def list(self, filters: Filters) -> Rows:
        """Rows of GET /volumes, by name."""
        return (await self.listing(filters))[0]

    async def listing(self, filters: Filters) -> tuple[Rows, Names]:
        """Rows by name, those of plugins among them, and what plugins that could not be asked had to say."""
        for key in filters:
            if key not in _LIST_FILTERS:
                raise InvalidParameter(f"invalid filter '{key}'")
        rows = {name: (volume, self._wire(volume)) for name, volume in self._volumes.items()}
        problems: Names = []
        if not filters.get("driver") or set(filters["driver"]) != {"local"}:
            found, problems = await self._drivers.listed()
            for driver, each in found:
                volume = self._volumes.get(each.name) or Volume(each.name, 0, driver=driver.name)
                if volume.driver == driver.name:
                    rows[each.name] = volume, self._wire(volume, each, driver.scope)
        return [row for _, (volume, row) in sorted(rows.items()) if self._passes(volume, filters)], problems

    def _passes(self, volume: Volume, filters: Filters) -> bool:
        if filters.get("driver") and volume.driver not in filters["driver"]:
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
        """Rows with ``UsageData`` for GET /system/df; plugins do not tell theirs."""
        rows = []
        for volume in sorted(self._volumes.values(), key=lambda item: item.name):
            if volume.driver != "local":
                continue
            size = -1 if needs_mount(volume.options or {}) else await asyncio.to_thread(
                files.tree_size, self._local.mountpoint(volume.name))
            rows.append({**self._wire(volume), "UsageData": {"RefCount": len(self.users(volume.name)), "Size": size}})
        return rows

    # -- changing

    async def create(
        self, name: str = "", driver: str = "", options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> Json:
        """The volume as the API shows it; one that exists is returned as it is. An empty name makes it anonymous; no
        driver means the one that has a volume of this name, else local."""
        if not name:
            name, driver = new_id(), driver or "local"
            labels = {**(labels or {}), ANONYMOUS: ""}
        async with self._locks.setdefault(name, asyncio.Lock()):
            return await self._create(name, driver, options, labels)

    async def _create(self, name: str, driver: str, options: dict[str, str] | None,
                      labels: dict[str, str] | None) -> Json:
        known = self._volumes.get(name)
        if known is not None:
            if driver not in ("", known.driver):
                raise Conflict(f"create {name}: driver '{known.driver}' already has volume '{name}': volume name must "
                               "be unique")
            if known.driver == "local":
                return self._wire(known)
        found = None
        try:
            if known is None and not driver:
                foreign = await self._drivers.lookup(name)
                driver = foreign[0] if foreign else "local"
            by = await self._drivers.get(known.driver if known else driver)
            if by is not self._local:
                found = await by.get(name)
            if known is not None and found is not None:
                return self._wire(known, found, by.scope)
            if found is None:
                by.check(name, options or {})
                await by.create(name, options)
                faults.point("volume create: made")
        except SolvaError as error:
            raise type(error)(f"create {name}: {error}") from error
        volume = Volume(name, self._clock.time_ns(), labels, options, by.name)
        self._store.put(VOLUME_KIND, name, volume)
        faults.point("volume create: recorded")
        self._volumes[name] = volume
        self._bus.publish("volume", "create", name, {"driver": by.name})
        return self._wire(volume, found, by.scope)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Conflict while a container names it; ``force`` forgives that it is missing, or that its plugin refuses."""
        volume = self._volumes.get(name)
        try:
            volume = volume or (await self._foreign(name))[0]
        except NotFound:
            if force:
                return
            raise
        users = self.users(name)
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        known = self._volumes.pop(name, None)      # nobody takes it from here on
        with self._store.transaction():
            self._store.put(REMOVING_KIND, name, volume)
            self._store.delete(VOLUME_KIND, name)
        faults.point("volume remove: noted")
        try:
            driver = await self._drivers.get(volume.driver)
            await driver.remove(name, volume.options)
            faults.point("volume remove: gone")
        except SolvaError as error:
            if not force or volume.driver == "local":
                if known is not None:
                    self._volumes[name] = known
                    with self._store.transaction():
                        self._store.put(VOLUME_KIND, name, known)
                        self._store.delete(REMOVING_KIND, name)
                raise type(error)(f"remove {name}: {error}") from error
            _log.warning("volume %s is forgotten, its driver said: %s", name, error)
        self._store.delete(REMOVING_KIND, name)
        self._locks.pop(name, None)
        self._paths.pop(name, None)
        self._bus.publish("volume", "destroy", name, {"driver": volume.driver})

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
            if volume.driver != "local" or (not everything and ANONYMOUS not in labels) or self.users(volume.name):
                continue
            if not _labelled(labels, filters):
                continue
            size = await asyncio.to_thread(files.tree_size, self._local.mountpoint(volume.name))
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
        volume = self._volumes.get(name)
        if volume is None:
            raise NotFound(f"get {name}: no such volume")
        async with self._locks.setdefault(name, asyncio.Lock()):
            if user in self._users.get(name, ()) and name in self._paths:
                return self._paths[name]      # at two places of one container: a plugin is told once
            try:
                driver = await self._drivers.get(volume.driver)
                path = await driver.mount(name, volume.options, user)
            except SolvaError as error:
                if volume.driver == "local":
                    raise
                raise type(error)(f"error while mounting volume '{name}': {error}") from error
            self._users.setdefault(name, set()).add(user)
            if volume.driver != "local":
                self._paths[name] = path
        self._bus.publish("volume", "mount", name, {"container": user, "driver": volume.driver})
        return path

    async def unmount(self, name: str, user: str) -> None:
        """``user`` needs it no longer; fine when it never did. What a plugin cannot do is logged."""
        users = self._users.get(name, set())
        known = user in users      # not after a restart of the engine: the mount is let go all the same
        users.discard(user)
        volume = self._volumes.get(name)
        if volume is None:
            return
        async with self._locks.setdefault(name, asyncio.Lock()):
            try:
                driver = await self._drivers.get(volume.driver)
                await driver.unmount(name, volume.options, user, last=not users)
            except SolvaError as error:
                if volume.driver == "local":
                    raise
                _log.warning("error while unmounting volume %s: %s", name, error)
        if known:
            self._bus.publish("volume", "unmount", name, {"container": user, "driver": volume.driver})

    async def populate(self, name: str, source: Path) -> None:
        """A volume without content takes that of the image's directory ``source`` (already resolved inside the root
        filesystem by the caller), and its owner and mode. Nothing happens when either side does not fit."""
        target = self.mountpoint(name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            volume = self._volumes.get(name)
            if volume is not None and volume.driver == "local" and not needs_mount(volume.options or {}):
                if any(target.iterdir()):
                    return
                self._store.put(FILLING_KIND, name, name)
            faults.point("volume fill: noted")
            try:
                await asyncio.to_thread(_populate, source, target)
            except OSError as error:
                raise SystemFailure(
                    f"failed to populate volume {name}: {(error.strerror or str(error)).lower()}") from error
            finally:
                self._store.delete(FILLING_KIND, name)


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
        _empty(target)
        raise


def _empty(target: Path) -> None:
    if target.is_dir():
        for entry in list(target.iterdir()):
            files.remove_tree(entry)


def _truth(filters: Filters, key: str) -> bool:
    value = filters[key][0].lower()
    if value in ("1", "true", "t"):
        return True
    if value in ("0", "false", "f"):
        return False
    raise InvalidParameter(f"invalid filter '{key}=[{filters[key][0]}]'")


def _labelled(labels: dict[str, str], filters: Filters) -> bool:
    def has(text: str) -> bool:
        key, equals, value = text.partition("=")
        return key in labels and (not equals or labels[key] == value)

    return all(has(text) for text in filters.get("label", ())) and not any(
        has(text) for text in filters.get("label!", ()))
