"""What is there: one snapshot of a project's containers, networks, volumes and images, found by labels."""

from __future__ import annotations

from solva.compose import labels
from solva.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from solva.client.transport import Transport
    from solva.compose.project import Project


class Container:
    """One container as ``GET /containers/json`` tells it."""

    __slots__ = ("data", "id", "image_id", "labels", "name", "number", "one_off", "service", "state")

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.id: str = data["Id"]
        names = [name.lstrip("/") for name in data.get("Names") or () if name.count("/") == 1]
        self.name: str = names[0] if names else self.id[:12]
        self.labels: Mapping[str, str] = data.get("Labels") or {}
        self.service: str = self.labels.get(labels.SERVICE, "")
        number = self.labels.get(labels.NUMBER, "")
        self.number = int(number) if number.isdigit() else 0
        self.one_off = self.labels.get(labels.ONE_OFF, "") == "True" or labels.HOOK in self.labels
        self.state: str = data.get("State", "")
        self.image_id: str = data.get("ImageID", "")

    @property
    def running(self) -> bool:
        return self.state in ("running", "restarting", "paused")

    @property
    def networks(self) -> Mapping[str, Any]:
        """The networks it is on, by name."""
        return (self.data.get("NetworkSettings") or {}).get("Networks") or {}

    @property
    def temporary(self) -> bool:
        """A successor whose recreation was cut short before it got its name."""
        head, _, rest = self.name.partition("_")
        return labels.REPLACE in self.labels and len(head) == 12 and bool(rest)


class Observed:
    """The snapshot. ``images``: reference -> id, "" where there is none. ``details``: containers and images (by id)
    as ``inspect`` tells them, of those whose difference from the files is to be explained."""

    __slots__ = ("containers", "details", "images", "networks", "volumes")

    def __init__(self, containers: Iterable[Container] = (), networks: Mapping[str, Any] | None = None,
                 volumes: Mapping[str, Any] | None = None, images: Mapping[str, str] | None = None,
                 details: Mapping[str, Any] | None = None) -> None:
        self.containers = tuple(containers)
        self.networks = dict(networks or {})
        self.volumes = dict(volumes or {})
        self.images = dict(images or {})
        self.details = dict(details or {})

    def of(self, service: str) -> list[Container]:
        """The service's own containers (no one-offs), by number."""
        return sorted((item for item in self.containers if item.service == service and not item.one_off),
                      key=lambda item: item.number)

    def world(self) -> dict[str, Any]:
        """What a plan was made for, as JSON: it may be carried out only while this is so."""
        return {
            "containers": {item.name: {"id": item.id, "state": "running" if item.running else "stopped",
                                       "config": item.labels.get(labels.CONFIG_HASH, "")}
                           for item in self.containers if not item.one_off},
            "networks": {name: str(entry.get("Id", "")) for name, entry in sorted(self.networks.items())},
            "volumes": {name: str(entry.get("CreatedAt", "")) for name, entry in sorted(self.volumes.items())},
            "images": dict(sorted(self.images.items())),
        }


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what is no longer as it was between two `Observed.world`."""
    found = []
    for kind in ("containers", "networks", "volumes", "images"):
        before, after = then.get(kind) or {}, now.get(kind) or {}
        for name in sorted({*before, *after}):
            if before.get(name) == after.get(name):
                continue
            what = f"{kind[:-1]} {name}"
            if not after.get(name):
                found.append(f"{what} is gone")
            elif not before.get(name):
                found.append(f"{what} has appeared")
            elif kind == "containers" and before[name]["id"] == after[name]["id"]:
                found.append(f"{what} was {before[name]['state']} and is {after[name]['state']}")
            else:
                found.append(f"{what} is another one than it was")
    return found


def containers(api: Transport, project: str, *, every: bool = True) -> list[Container]:
    """The project's containers, one-offs too."""
    found = api.json("GET", "/containers/json", query={
        "all": every, "filters": {"label": [f"{labels.PROJECT}={project}"]}})
    return sorted((Container(item) for item in found), key=lambda item: (item.service, item.number, item.name))


def image_id(api: Transport, reference: str) -> str:
    """The id of a local image, "" when it is not here."""
    return str((image(api, reference) or {}).get("Id", ""))


def image(api: Transport, reference: str) -> dict[str, Any] | None:
    """A local image as ``inspect`` tells it; None when it is not here."""
    try:
        found: dict[str, Any] = api.json("GET", f"/images/{reference}/json")
    except NotFound:
        return None
    return found


def references(project: Project) -> list[str]:
    """The images that the project's containers are made of."""
    return sorted({service.image(project.name) for service in project.services.values()
                   if service.get("provider") is None})


def images(api: Transport, project: Project) -> dict[str, str]:
    """Every service's image."""
    return {reference: image_id(api, reference) for reference in references(project)}


def networks(api: Transport, project: str) -> dict[str, Any]:
    found = api.json("GET", "/networks", query={"filters": {"label": [f"{labels.PROJECT}={project}"]}})
    return {item["Name"]: item for item in found}


def volumes(api: Transport, project: str) -> dict[str, Any]:
    found = api.json("GET", "/volumes", query={"filters": {"label": [f"{labels.PROJECT}={project}"]}})
    return {item["Name"]: item for item in found.get("Volumes") or ()}


def observe(api: Transport, project: Project, known_images: Mapping[str, str] | None = None) -> Observed:
    """All of it. Networks of the project's names that carry no label of it are looked up too; volumes by their names
    alone, since a list of all waits for every plugin."""
    nets: dict[str, Any] = networks(api, project.name)
    vols: dict[str, Any] = {}
    for entry in project.networks.values():
        if entry["name"] not in nets:
            found = api.json("GET", "/networks", query={"filters": {"name": [entry["name"]]}})
            nets.update({item["Name"]: item for item in found if item["Name"] == entry["name"]})
    for entry in project.volumes.values():
        try:
            vols[entry["name"]] = api.json("GET", f"/volumes/{entry['name']}")
        except NotFound:
            pass
    return Observed(containers(api, project.name), nets, vols,
                    images(api, project) if known_images is None else known_images)


def details(api: Transport, wanted: Iterable[Container]) -> dict[str, Any]:
    """Those containers, and the images they were made of, as ``inspect`` tells them."""
    found: dict[str, Any] = {}
    for item in wanted:
        try:
            found[item.id] = api.json("GET", f"/containers/{item.id}/json")
        except NotFound:
            continue
        reference = found[item.id].get("Image") or item.image_id
        if reference and reference not in found:
            found[reference] = image(api, reference) or {}
    return found

