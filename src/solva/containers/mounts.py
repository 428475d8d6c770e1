"""Binds, --mount, --tmpfs, --volumes-from and an image's VOLUMEs as one list of mount points."""

from __future__ import annotations

import os
import posixpath
from typing import Any

import msgspec

from solva.api.types.container import ContainerConfig, HostConfig, Mount
from solva.containers.core import Core
from solva.containers.model import Container, MountPoint
from solva.errors import InvalidParameter, NotFound, NotImplementedHere
from solva.ids import new_id

_PROPAGATION = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
_MODES = frozenset(("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "readonly"))


def collect(core: Core, config: ContainerConfig, host: HostConfig) -> list[MountPoint]:
    """Every mount point, a later source winning over an earlier: volumes-from, image volumes, binds and mounts."""
    found: dict[str, MountPoint] = {}
    for reference in host.volumes_from:
        for point in _from_container(core, reference):
            found[point.destination] = point
    wished: set[str] = set()
    for text in host.binds:
        _add(found, wished, parse_bind(text, host.volume_driver))
    for mount in host.mounts:
        _add(found, wished, from_mount(mount))
    for destination, options in host.tmpfs.items():
        _add(found, wished, MountPoint("tmpfs", clean(destination), options=options, rw="ro" not in options.split(",")))
    for destination in config.volumes:
        place = clean(destination)
        if place not in found:
            found[place] = MountPoint("volume", place, name=new_id(), driver=host.volume_driver, anonymous=True)
    return [found[place] for place in sorted(found)]


def _add(found: dict[str, MountPoint], wished: set[str], point: MountPoint) -> None:
    if point.destination in wished:
        raise InvalidParameter(f"Duplicate mount point: {point.destination}")
    wished.add(point.destination)
    found[point.destination] = point


def clean(path: str) -> str:
    """A destination: absolute, without a slash at its end. InvalidParameter for "/" and relative ones."""
    if not path.startswith("/"):
        raise InvalidParameter(f"invalid mount path: '{path}' mount path must be absolute")
    normal = "/" + posixpath.normpath(path).lstrip("/")
    if normal == "/":
        raise InvalidParameter("invalid specification: destination can't be '/'")
    return normal


def parse_bind(text: str, driver: str) -> MountPoint:
    """``source:destination[:options]``, ``name:destination`` or ``destination`` alone."""
    parts = text.split(":")
    if len(parts) == 1:
        return MountPoint("volume", clean(text), name=new_id(), driver=driver, anonymous=True)
    if len(parts) > 3 or not parts[0] or not parts[1]:
        raise InvalidParameter(f"invalid volume specification: '{text}'")
    source, destination, options = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    if not destination.startswith("/"):
        raise InvalidParameter(f"invalid volume specification: '{text}': invalid mount config for type "
                               f"\"{'bind' if source.startswith('/') else 'volume'}\": invalid mount path: "
                               f"'{destination}' mount path must be absolute")
    point = MountPoint("bind" if source.startswith("/") else "volume", clean(destination), mode=options)
    for option in [item for item in options.split(",") if item]:
        if option in ("ro", "readonly"):
            point.rw = False
        elif option == "nocopy":
            point.no_copy = True
        elif option in _PROPAGATION:
            point.propagation = option
        elif option not in _MODES:
            raise InvalidParameter(f"invalid volume specification: '{text}': invalid mode: {options}")
    if point.type == "bind":
        point.source = os.path.normpath(source)
        point.propagation = point.propagation or "rprivate"
    else:
        point.name, point.driver = source, driver
        point.mode = options or "z"
    return point


def from_mount(mount: Mount) -> MountPoint:
    """One entry of HostConfig.Mounts."""
    destination = clean(mount.target) if mount.target else ""
    if not destination:
        raise InvalidParameter(f'invalid mount config for type "{mount.type}": field Target must not be empty')
    point = MountPoint(mount.type, destination, rw=not mount.read_only, spec=msgspec.to_builtins(mount))
    if mount.type == "bind":
        if not mount.source:
            raise InvalidParameter('invalid mount config for type "bind": field Source must not be empty')
        if not mount.source.startswith("/"):
            raise InvalidParameter(f"invalid mount config for type \"bind\": invalid mount path: '{mount.source}' "
                                   "mount path must be absolute")
        options = mount.bind_options
        create = options is not None and options.create_mountpoint
        if not os.path.lexists(mount.source) and not create:
            raise InvalidParameter(f'invalid mount config for type "bind": bind source path does not exist: '
                                   f"{mount.source}")
        if create:
            os.makedirs(mount.source, exist_ok=True)
        point.source = os.path.normpath(mount.source)
        point.propagation = "rprivate"
        if options is not None:
            point.propagation = options.propagation or "rprivate"
            point.recursive = not options.non_recursive
            point.read_only_recursive = not options.read_only_non_recursive
    elif mount.type == "volume":
        point.name, point.anonymous = (mount.source, False) if mount.source else (new_id(), True)
        point.mode = "z"
        volume = mount.volume_options
        if volume is not None:
            point.no_copy, point.subpath = volume.no_copy, volume.subpath
            if volume.driver_config is not None and volume.driver_config.name:
                point.driver = volume.driver_config.name
    elif mount.type == "tmpfs":
        if mount.source:
            raise InvalidParameter('invalid mount config for type "tmpfs": field Source must not be specified')
        options_list = []
        tmpfs = mount.tmpfs_options
        if tmpfs is not None:
            if tmpfs.size_bytes:
                options_list.append(f"size={tmpfs.size_bytes}")
            if tmpfs.mode:
                options_list.append(f"mode={tmpfs.mode:o}")
            options_list += ["=".join(pair) for pair in tmpfs.options]
        point.options = ",".join(options_list)
    elif mount.type in ("image", "cluster", "npipe"):
        raise NotImplementedHere(f"mounts of type {mount.type} are not supported by this engine")
    else:
        raise InvalidParameter(f'invalid mount config for type "{mount.type}": mount type unknown')
    return point


def _from_container(core: Core, reference: str) -> list[MountPoint]:
    name, _, mode = reference.partition(":")
    if mode not in ("", "ro", "rw", "z", "Z"):
        raise InvalidParameter(f"invalid volumes-from specification: {reference}")
    try:
        source: Container = core.registry.get(name)
    except NotFound as error:      # as 404 it would make clients pull the image
        raise InvalidParameter(str(error)) from error
    points = []
    for point in source.mounts:
        if point.type == "tmpfs":
            continue
        copy = msgspec.structs.replace(point, anonymous=False, no_copy=True)
        if mode == "ro":
            copy.rw = False
        points.append(copy)
    return points


async def reserve(core: Core, container: Container) -> list[str]:
    """Volumes made where they are missing, bind sources made as directories; names of anonymous volumes made."""
    made = []
    for point in container.mounts:
        if point.type == "volume":
            spec: dict[str, Any] = (point.spec or {}).get("VolumeOptions", {})
            options = spec.get("DriverConfig", {}).get("Options", {})
            labels = dict(spec.get("Labels", {}))
            if point.anonymous:
                labels["com.docker.volume.anonymous"] = ""
            driver = point.driver or ("local" if point.anonymous else "")      # "": whoever has one of this name
            volume = await core.volumes.create(point.name, driver, options, labels)
            if point.anonymous:
                made.append(point.name)
            point.source = str(volume.get("Mountpoint", ""))
            point.driver = str(volume.get("Driver", point.driver))
        elif point.type == "bind" and point.spec is None and not os.path.lexists(point.source):
            os.makedirs(point.source, exist_ok=True)
    return made


async def populate(core: Core, container: Container) -> None:
    """New, empty volumes take the image's content at their place."""
    points = [point for point in container.mounts
              if point.type == "volume" and not point.no_copy and not point.subpath]
    if not points:
        return
    from solva.kernel import inroot

    rootfs = await core.snapshots.mount(container.id)
    try:
        for point in points:
            try:
                source = inroot.host_path(rootfs, point.destination)
            except OSError:
                continue
            if os.path.isdir(source):
                await core.volumes.mount(point.name, f"{container.id}-copy")
                try:
                    from pathlib import Path

                    await core.volumes.populate(point.name, Path(source))
                finally:
                    await core.volumes.unmount(point.name, f"{container.id}-copy")
    finally:
        await core.snapshots.unmount(container.id)
