"""Plans that take away: stop, remove, down. Dependents go before what they depend on. Pure."""

from __future__ import annotations

from solva.compose import labels
from solva.compose.plan import Draft, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from solva.compose.observe import Container
    from solva.compose.project import Project


def reverse_order(containers: Iterable[Container]) -> Callable[[Container], list[str]]:
    """For each container the names of those that depend on it and so have to stop first."""
    dependents: dict[str, list[str]] = {}
    for container in containers:
        for item in container.labels.get(labels.DEPENDS_ON, "").split(","):
            name = item.partition(":")[0]
            if name:
                dependents.setdefault(name, []).append(container.name)
    return lambda container: dependents.get(container.service, [])


def stop_one(draft: Draft, container: Container, timeout: int | None, project: Project | None = None, *,
             needs: Iterable[str] = (), silent: bool = False, chain: str = "") -> list[str]:
    """Its ``pre_stop`` hooks, then the stop; the keys."""
    keys = list(needs)
    service = project.services.get(container.service) if project is not None else None
    for index, hook in enumerate((service.get("pre_stop") if service else None) or ()):
        if container.state == "running":
            keys = [draft.add(f"pre_stop {index + 1} in {container.name}", "POST", f"/containers/{container.id}/exec",
                              needs=keys, kind="hook", body=dict(hook), chain=chain,
                              subject="" if silent else f"Container {container.name}", doing="Pre-stop hook")]
    return [draft.add(
        f"stop {container.name}", "POST", f"/containers/{container.id}/stop", needs=keys, query={"t": timeout},
        subject="" if silent else f"Container {container.name}", doing="Stopping", done="Stopped", chain=chain,
        lenient=("NotModified", "NotFound"))]


def remove(draft: Draft, container: Container, timeout: int | None, project: Project | None = None) -> str:
    """Stop it if it runs, remove it; the key of the removal."""
    needs = stop_one(draft, container, timeout, project) if container.running else []
    return draft.add(f"remove {container.name}", "DELETE", f"/containers/{container.id}", needs=needs,
                     query={"force": True}, subject=f"Container {container.name}", doing="Removing", done="Removed",
                     lenient=("NotFound",))


def stop_all(draft: Draft, project: Project, containers: list[Container], timeout: int | None) -> None:
    """Stop what runs, dependents first."""
    dependents = reverse_order(containers)
    by_name = {item.name: item for item in containers}
    done: set[str] = set()

    def visit(container: Container) -> None:
        if container.name in done:
            return
        done.add(container.name)
        before = [name for name in dependents(container) if name in by_name]
        for name in before:
            visit(by_name[name])
        if container.running:
            stop_one(draft, container, timeout, project, needs=[f"stop {name}" for name in before])

    for container in containers:
        visit(container)


def down(project: Project, containers: list[Container], networks: Mapping[str, Any], volumes: Mapping[str, Any], *,
         timeout: int | None, with_volumes: bool, images: Iterable[str] = ()) -> Plan:
    """Stop and remove ``containers``, dependents first, then networks, volumes and images."""
    draft = Draft()
    stop_all(draft, project, containers, timeout)
    removed = []
    for container in containers:
        removed.append(draft.add(
            f"remove {container.name}", "DELETE", f"/containers/{container.id}", needs=[f"stop {container.name}"],
            query={"force": True, "v": with_volumes or None}, subject=f"Container {container.name}", doing="Removing",
            done="Removed", lenient=("NotFound",)))
    for name, entry in sorted(networks.items()):
        draft.add(f"remove network {name}", "DELETE", f"/networks/{entry['Id']}", needs=removed,
                  subject=f"Network {name}", doing="Removing", done="Removed", lenient=("NotFound", "InUse"))
    for name in sorted(volumes) if with_volumes else ():
        draft.add(f"remove volume {name}", "DELETE", f"/volumes/{name}", needs=removed, subject=f"Volume {name}",
                  doing="Removing", done="Removed", lenient=("NotFound", "InUse"))
    for image in images:
        draft.add(f"remove image {image}", "DELETE", f"/images/{image}", needs=removed, subject=f"Image {image}",
                  doing="Removing", done="Removed", lenient=("NotFound", "InUse"))
    return draft.plan()
