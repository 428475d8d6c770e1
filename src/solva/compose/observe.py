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
        self.one_off = self.labels.get(labels.ONE_OFF, "") == "True"
        self.state: str = data.get("State", "")
        self.image_id: str = data.get("ImageID", "")

    @property
    def running(self) -> bool:
        return self.state in ("running", "restarting", "paused")


class Observed:
    """The snapshot. ``images``: reference -> id, "" where there is none."""

    __slots__ = ("containers", "images", "networks", "volumes")

    def __init__(self, containers: Iterable[Container] = (), networks: Mapping[str, Any] | None = None,
                 volumes: Mapping[str, Any] | None = None, images: Mapping[str, str] | None = None) -> None:
        self.containers = tuple(containers)
        self.networks = dict(networks or {})
        self.volumes = dict(volumes or {})
        self.images = dict(images or {})

    def of(self, service: str) -> list[Container]:
        """The service's own containers (no one-offs), by number."""
        return sorted((item for item in self.containers if item.service == service and not item.one_off),
                      key=lambda item: item.number)


def containers(api: Transport, project: str, *, every: bool = True) -> list[Container]:
    """The project's containers, one-offs too."""
    found = api.json("GET", "/containers/json", query={
        "all": every, "filters": {"label": [f"{labels.PROJECT}={project}"]}})
    return sorted((Container(item) for item in found), key=lambda item: (item.service, item.number, item.name))


def image_id(api: Transport, reference: str) -> str:
    """The id of a local image, "" when it is not here."""
    try:
        return str(api.json("GET", f"/images/{reference}/json")["Id"])
    except NotFound:
        return ""


def images(api: Transport, project: Project) -> dict[str, str]:
    """Every service's image."""
    references = {service.image(project.name) for service in project.services.values()
                  if service.get("provider") is None}
    return {reference: image_id(api, reference) for reference in sorted(references)}


def networks(api: Transport, project: str) -> dict[str, Any]:
    found = api.json("GET", "/networks", query={"filters": {"label": [f"{labels.PROJECT}={project}"]}})
    return {item["Name"]: item for item in found}


def volumes(api: Transport, project: str) -> dict[str, Any]:
    found = api.json("GET", "/volumes", query={"filters": {"label": [f"{labels.PROJECT}={project}"]}})
    return {item["Name"]: item for item in found.get("Volumes") or ()}


def observe(api: Transport, project: Project, known_images: Mapping[str, str] | None = None) -> Observed:
    """All of it. Networks and volumes of the project's names that carry no label of it are looked up too."""
    nets, vols = networks(api, project.name), volumes(api, project.name)
    for entry in project.networks.values():
        if entry["name"] not in nets:
            found = api.json("GET", "/networks", query={"filters": {"name": [entry["name"]]}})
            nets.update({item["Name"]: item for item in found if item["Name"] == entry["name"]})
    for entry in project.volumes.values():
        if entry["name"] not in vols:
            try:
                vols[entry["name"]] = api.json("GET", f"/volumes/{entry['name']}")
            except NotFound:
                pass
    return Observed(containers(api, project.name), nets, vols,
                    images(api, project) if known_images is None else known_images)
