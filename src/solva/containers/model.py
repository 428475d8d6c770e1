"""A container as it is kept in the store (kind ``container``), and the index of those in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from solva.api.types.container import ContainerConfig, EndpointSettings, HostConfig
from solva.errors import Conflict, InvalidParameter, NotFound
from solva.ids import is_id
from solva.store.sqlite import Store

KIND = "container"


class HealthResult(msgspec.Struct):
    """One run of a health check. Times in nanoseconds."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str


class Health(msgspec.Struct):
    """``status``: starting, healthy, unhealthy, none."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[HealthResult] = []


class State(msgspec.Struct):
    """``status``: created, running, paused, restarting, removing, exited, dead. Times in nanoseconds, 0 = never.

    ``boot`` is the boot id under which pids are meant; ``stopped_by_user`` says that a restart policy must keep off.
    """

    status: str = "created"
    pid: int = 0
    pid_start: int = 0
    conmon_pid: int = 0
    boot: str = ""
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    stopped_by_user: bool = False
    restart_count: int = 0
    remove_volumes: bool = False     # of one that is being removed: its anonymous volumes go too
    health: Health | None = None

    @property
    def running(self) -> bool:
        """In Docker's sense: a paused container runs, and so does one between two restarts."""
        return self.status in ("running", "paused", "restarting")

    @property
    def alive(self) -> bool:
        """Whether it has a process."""
        return self.status in ("running", "paused")


class MountPoint(msgspec.Struct):
    """One mount of a container. ``type``: bind, volume, tmpfs. ``source`` is a host path ("" for tmpfs).

    ``name`` is the volume's; ``anonymous`` ones go with the container; ``options`` are those of a tmpfs.
    """

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    recursive: bool = True
    read_only_recursive: bool = True
    anonymous: bool = False
    no_copy: bool = False
    subpath: str = ""
    options: str = ""
    spec: dict[str, Any] | None = None


class Container(msgspec.Struct):
    """Everything the engine knows of a container."""

    id: str
    name: str
    created_ns: int
    image_id: str
    chain: tuple[str, ...]
    path: str
    args: list[str]
    config: ContainerConfig
    host_config: HostConfig
    endpoints: dict[str, EndpointSettings] = {}
    mounts: list[MountPoint] = []
    state: State = msgspec.field(default_factory=State)
    image_labels: dict[str, str] = {}
    network_ids: dict[str, str] = {}     # of the networks it has been on

    @property
    def event_attributes(self) -> dict[str, str]:
        """What every event of the container carries."""
        return {**self.config.labels, "image": self.config.image, "name": self.name}


class Paths(msgspec.Struct, frozen=True):
    """Where a container's files lie."""

    data_root: Path
    run_root: Path

    def data(self, container_id: str) -> Path:
        return self.data_root / "containers" / container_id

    def log(self, container_id: str) -> Path:
        return self.data(container_id) / "container.log"

    def bundle(self, container_id: str) -> Path:
        """The OCI bundle, in the run-time directory; made anew at each start."""
        return self.run_root / "containers" / container_id


class Registry:
    """All containers, by id and by name, in memory and in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_id: dict[str, Container] = {}
        self._names: dict[str, str] = {}

    def load(self) -> None:
        for container in self._store.all(KIND, Container):
            self._by_id[container.id] = container
            self._names[container.name] = container.id

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name, or Conflict in Docker's words."""
        owner = self._names.get(name)
        if owner is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._names[name] = container_id

    def release(self, name: str) -> None:
        self._names.pop(name, None)

    def taken(self, name: str) -> bool:
        return name in self._names

    def add(self, container: Container) -> None:
        """Visible from here on."""
        self._by_id[container.id] = container
        self.save(container)

    def save(self, container: Container) -> None:
        """Write it to the store, unless it has been removed."""
        if container.id in self._by_id:
            self._store.put(KIND, container.id, container)

    def drop(self, container: Container) -> None:
        self._by_id.pop(container.id, None)
        if self._names.get(container.name) == container.id:
            self.release(container.name)
        self._store.delete(KIND, container.id)

    def all(self) -> list[Container]:
        return list(self._by_id.values())

    def maybe(self, container_id: str) -> Container | None:
        return self._by_id.get(container_id)

    def get(self, reference: str) -> Container:
        """By whole id, name (with or without "/") or an unambiguous beginning of an id."""
        if is_id(reference):
            found = self._by_id.get(reference)
            if found is not None:
                return found
        bare = reference.removeprefix("/")
        owner = self._names.get(bare)
        if owner is not None and owner in self._by_id:
            return self._by_id[owner]
        if bare:
            matches = [item for key, item in self._by_id.items() if key.startswith(bare)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise InvalidParameter(f"Multiple IDs found with provided prefix: {bare}")
        raise NotFound(f"No such container: {reference}")
