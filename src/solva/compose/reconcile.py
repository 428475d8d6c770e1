"""From what is wanted and what is there to a plan. Pure: no call is made here."""

from __future__ import annotations

from solva.compose import labels
from solva.compose.effects.mounts import contents
from solva.compose.effects.network import network_request, volume_request
from solva.compose.effects.request import container_request
from solva.compose.errors import ComposeError
from solva.compose.hash import network_hash, service_hash
from solva.compose.plan import Draft, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from solva.compose.observe import Container, Observed
    from solva.compose.project import Project, Service


class UpOptions:
    """What `up`, `create`, `scale` and `run` ask for. ``recreate``: diverged | force | never."""

    def __init__(self, *, recreate: str = "diverged", recreate_dependencies: str = "diverged", start: bool = True,
                 timeout: int | None = None, renew_volumes: bool = False, remove_orphans: bool = False,
                 named: Iterable[str] = ()) -> None:
        self.recreate = recreate
        self.recreate_dependencies = recreate_dependencies
        self.start = start
        self.timeout = timeout
        self.renew_volumes = renew_volumes
        self.remove_orphans = remove_orphans
        self.named = frozenset(named)


def in_order(project: Project) -> list[Service]:
    """Services, dependencies first."""
    done: dict[str, Service] = {}

    def visit(name: str) -> None:
        if name in done or name not in project.services:
            return
        for dependency in sorted(project.services[name].depends_on):
            visit(dependency)
        done[name] = project.services[name]

    for name in sorted(project.services):
        visit(name)
    return list(done.values())


def container_name(project: Project, service: Service, number: int) -> str:
    return str(service.get("container_name") or f"{project.name}-{service.name}-{number}")


def orphans(project: Project, observed: Observed) -> list[Container]:
    """Containers of services that the files no longer have."""
    known = {*project.services, *project.disabled}
    return [item for item in observed.containers if item.service not in known]


def reconcile(project: Project, observed: Observed, options: UpOptions) -> Plan:
    """The plan that makes ``observed`` what ``project`` says."""
    return _Reconciler(project, observed, options).plan()


class _Reconciler:
    def __init__(self, project: Project, observed: Observed, options: UpOptions) -> None:
        self.project = project
        self.observed = observed
        self.options = options
        self.draft = Draft()
        self.ready: dict[str, list[str]] = {}       # service -> keys after which its containers exist
        self.started: dict[str, list[str]] = {}     # service -> keys after which its containers run
        self.names: dict[str, list[str]] = {}       # service -> names of its containers
        self.recreated: set[str] = set()
        self.volumes: dict[str, str] = {}
        self.networks: dict[str, str] = {}

    def plan(self) -> Plan:
        self.create_networks()
        self.create_volumes()
        if self.options.remove_orphans:
            for container in orphans(self.project, self.observed):
                self.remove(container)
        starts: list[tuple[Service, list[tuple[str, bool]]]] = []
        for service in in_order(self.project):
            if service.get("provider") is not None:
                raise ComposeError(f'service "{service.name}": providers are not supported')
            if service.get("models"):
                raise ComposeError(f'service "{service.name}": models are not supported')
            starts.append((service, self.converge(service)))
        if self.options.start:
            for service, pending in starts:
                self.start(service, pending)
        return self.draft.plan()

    # --- networks and volumes ------------------------------------------------------------------------------------
    def create_networks(self) -> None:
        used = {name for service in self.project.services.values() for name in service.get("networks") or ()}
        for key, entry in sorted(self.project.networks.items()):
            name = entry["name"]
            there = self.observed.networks.get(name)
            if entry.get("external"):
                if there is None and key in used and name not in ("bridge", "host", "none"):
                    raise ComposeError(f"network {name} declared as external, but could not be found")
                continue
            needs: list[str] = []
            if there is not None:
                found = (there.get("Labels") or {}).get(labels.CONFIG_HASH, "")
                if not found or found == network_hash(entry):
                    continue
                needs = self.vacate(name)
                needs = [self.draft.add(f"remove network {name}", "DELETE", f"/networks/{there['Id']}", needs=needs,
                                        subject=f"Network {name}", doing="Removing", done="Removed",
                                        reason="its configuration changed")]
            self.networks[key] = self.draft.add(
                f"create network {name}", "POST", "/networks/create", needs=needs,
                body=network_request(self.project, key), subject=f"Network {name}", doing="Creating", done="Created")

    def vacate(self, network: str) -> list[str]:
        """Stop and remove the containers on a network that has to go."""
        keys = []
        for container in self.observed.containers:
            if network in ((container.data.get("NetworkSettings") or {}).get("Networks") or {}):
                keys.append(self.remove(container))
        self.observed.containers = tuple(item for item in self.observed.containers if f"remove {item.name}"
                                         not in self.draft.keys)
        return keys

    def create_volumes(self) -> None:
        for key, entry in sorted(self.project.volumes.items()):
            name = entry["name"]
            if name in self.observed.volumes:
                continue
            if entry.get("external"):
                raise ComposeError(f'external volume "{name}" not found')
            self.volumes[key] = self.draft.add(
                f"create volume {name}", "POST", "/volumes/create", body=volume_request(self.project, key),
                subject=f"Volume {name}", doing="Creating", done="Created")

    # --- containers ----------------------------------------------------------------------------------------------
    def converge(self, service: Service) -> list[tuple[str, bool]]:
        """Create, recreate, remove; returns (name, must be started) of every container that stays."""
        wanted = service.scale
        found = self.observed.of(service.name)
        policy = self.options.recreate
        if self.options.named and service.name not in self.options.named:
            policy = self.options.recreate_dependencies
        reasons = {item.id: self.reason(service, item, policy) for item in found}
        found.sort(key=lambda item: (bool(reasons[item.id]), item.number))
        keep, surplus = sorted(found[:wanted], key=lambda item: item.number), found[wanted:]
        for container in surplus:
            self.remove(container)
        pending: list[tuple[str, bool]] = []
        self.names[service.name] = []
        for container in keep:
            name = container_name(self.project, service, container.number)
            if reasons[container.id]:
                self.recreate(service, container, reasons[container.id])
                pending.append((name, True))
            else:
                name = container.name
                needs_start = container.state not in ("running", "restarting")
                self.draft.notes.append((f"Container {name}", "Created" if needs_start else "Running"))
                pending.append((name, needs_start))
            self.names[service.name].append(name)
        taken = {item.number for item in found}
        number = 1
        for _ in range(wanted - len(keep)):
            while number in taken:
                number += 1
            taken.add(number)
            name = container_name(self.project, service, number)
            key = self.create(service, name, name, number, (), "Creating", "Created", "")
            self.ready.setdefault(service.name, []).append(key)
            self.names[service.name].append(name)
            pending.append((name, True))
        return pending

    def reason(self, service: Service, container: Container, policy: str) -> str:
        """Why a container has to be made anew, "" when it need not."""
        if policy == "never":
            return ""
        if policy == "force":
            return "forced"
        if container.labels.get(labels.CONFIG_HASH) != service_hash(service):
            return "its configuration changed"
        image = self.observed.images.get(service.image(self.project.name), "")
        if image and container.labels.get(labels.IMAGE) != image:
            return "its image changed"
        if container.running:
            joined = (container.data.get("NetworkSettings") or {}).get("Networks") or {}
            for key in service.get("networks") or ():
                if self.project.networks[key]["name"] not in joined:
                    return f"it is not connected to network {self.project.networks[key]['name']}"
        mounted = {mount.get("Name") for mount in container.data.get("Mounts") or () if mount.get("Type") == "volume"}
        for item in service.get("volumes") or ():
            if item["type"] == "volume" and item.get("source"):
                name = self.project.volumes[item["source"]]["name"]
                if name not in mounted:
                    return f"volume {name} is not mounted"
        return ""

    def create(self, service: Service, name: str, final: str, number: int, inherited: tuple[str, ...], doing: str,
               done: str, reason: str, needs: Iterable[str] = (), replaces: str = "") -> str:
        resolved = self.resolve(service)
        known = labels.container_labels(self.project, service, number, service_hash(service),
                                        self.observed.images.get(service.image(self.project.name), ""))
        if replaces:
            known[labels.REPLACE] = replaces
        before = [*needs, *(self.networks[key] for key in service.get("networks") or () if key in self.networks),
                  *(self.volumes[item["source"]] for item in service.get("volumes") or ()
                    if item.get("source") in self.volumes)]
        for dependency in _shared(service):
            before += self.ready.get(dependency, [])
        key = self.draft.add(
            f"create {name}", "POST", "/containers/create", needs=before, query={"name": name,
                                                                                 "platform": service.get("platform")},
            body=container_request(self.project, resolved, final, known, inherited=inherited),
            subject=f"Container {final}", doing=doing, done=done, reason=reason)
        for target, data, reference in contents(self.project, service):
            key = self.draft.add(f"copy {target} to {name}", "PUT", f"/containers/{name}/archive", needs=[key],
                                 kind="copy", query={"path": "/"}, body=(target, data, reference))
        return key

    def recreate(self, service: Service, old: Container, reason: str) -> None:
        name = container_name(self.project, service, old.number)
        temporary = f"{old.id[:12]}_{name}"
        inherited = () if self.options.renew_volumes else anonymous_volumes(old)
        key = self.create(service, temporary, name, old.number, inherited, "Recreate", "", reason, replaces=old.id)
        if old.running:
            key = self.draft.add(f"stop {old.name}", "POST", f"/containers/{old.id}/stop", needs=[key],
                                 query=self.timeout(), lenient=("NotModified", "NotFound"))
        key = self.draft.add(f"remove {old.name}", "DELETE", f"/containers/{old.id}", needs=[key],
                             query={"v": self.options.renew_volumes or None, "force": True}, lenient=("NotFound",))
        key = self.draft.add(f"rename {temporary}", "POST", f"/containers/{temporary}/rename", needs=[key],
                             query={"name": name}, subject=f"Container {name}", done="Recreated")
        self.ready.setdefault(service.name, []).append(key)
        self.recreated.add(service.name)

    def resolve(self, service: Service) -> Service:
        """``service:x`` references as ``container:NAME``."""
        changes: dict[str, Any] = {}
        for attribute in ("network_mode", "ipc", "pid", "uts", "cgroup"):
            value = str(service.get(attribute) or "")
            if value.startswith("service:"):
                changes[attribute] = f"container:{self.first(value[8:], attribute)}"
        sources = service.get("volumes_from")
        if sources:
            changes["volumes_from"] = [
                item[10:] if item.startswith("container:") else
                ":".join([self.first(item.split(":")[0], "volume"), *item.split(":")[1:]]) for item in sources]
        return service.with_(**changes) if changes else service

    def first(self, service: str, what: str) -> str:
        names = self.names.get(service) or [item.name for item in self.observed.of(service)]
        if not names:
            raise ComposeError(f"cannot share {what} with service {service}: container missing")
        return names[0]

    def remove(self, container: Container) -> str:
        needs = []
        if container.running:
            needs = [self.draft.add(f"stop {container.name}", "POST", f"/containers/{container.id}/stop",
                                    query=self.timeout(), subject=f"Container {container.name}", doing="Stopping",
                                    done="Stopped", lenient=("NotModified", "NotFound"))]
        return self.draft.add(f"remove {container.name}", "DELETE", f"/containers/{container.id}", needs=needs,
                              query={"force": True}, subject=f"Container {container.name}", doing="Removing",
                              done="Removed", lenient=("NotFound",))

    def timeout(self) -> dict[str, Any]:
        return {"t": self.options.timeout}

    # --- starting ------------------------------------------------------------------------------------------------
    def start(self, service: Service, pending: list[tuple[str, bool]]) -> None:
        # As with Docker nothing starts before everything exists: a refused creation leaves nothing running.
        before = [key for keys in self.ready.values() for key in keys]
        restart = any(options.get("restart") and dependency in self.recreated
                      for dependency, options in service.depends_on.items())
        pending = [(name, must or restart) for name, must in pending]
        if any(must for _, must in pending):
            for dependency, options in sorted(service.depends_on.items()):
                before += self.dependency(service, dependency, options)
        keys = self.started.setdefault(service.name, [])
        states = {item.name: item.state for item in self.observed.containers}
        for name, must in pending:
            if not must:
                continue
            needs = before
            if states.get(name) == "running" and f"rename {name}" not in self.draft.keys and restart \
                    and service.name not in self.recreated:
                needs = [self.draft.add(f"stop {name}", "POST", f"/containers/{name}/stop", needs=before,
                                        query=self.timeout(), subject=f"Container {name}", doing="Stopping",
                                        done="Stopped", lenient=("NotModified",))]
            verb = "unpause" if states.get(name) == "paused" and service.name not in self.recreated else "start"
            key = self.draft.add(f"start {name}", "POST", f"/containers/{name}/{verb}", needs=needs,
                                 subject=f"Container {name}", doing="Starting", done="Started",
                                 lenient=("NotModified",))
            for index, hook in enumerate(service.get("post_start") or ()):
                key = self.draft.add(f"post_start {index + 1} in {name}", "POST", f"/containers/{name}/exec",
                                     needs=[key], kind="hook", body=hook)
            keys.append(key)

    def dependency(self, service: Service, name: str, options: dict[str, Any]) -> list[str]:
        """Keys after which ``service`` may start as far as its dependency ``name`` goes."""
        condition = options.get("condition", "service_started")
        started = self.started.get(name, [])
        if name not in self.project.services or condition == "service_started":
            return started
        keys = []
        for container in self.names.get(name, []):
            key = f"wait {condition.removeprefix('service_')} {container}"
            if key not in self.draft.keys:
                done = "Healthy" if condition == "service_healthy" else "Exited"
                self.draft.add(key, "GET", f"/containers/{container}/json", needs=started, kind="wait",
                               body={"condition": condition, "required": options.get("required", True)},
                               subject=f"Container {container}", doing="Waiting", done=done)
            keys.append(key)
        return keys


def _shared(service: Service) -> list[str]:
    """Services whose containers must exist before this one's: shared namespaces, volumes_from."""
    found = [str(service.get(attribute) or "")[8:] for attribute in ("network_mode", "ipc", "pid", "uts", "cgroup")
             if str(service.get(attribute) or "").startswith("service:")]
    return found + [item.split(":")[0] for item in service.get("volumes_from") or ()
                    if not item.startswith("container:")]


def anonymous_volumes(container: Container) -> tuple[str, ...]:
    """Binds that carry the container's nameless volumes over to its successor."""
    return tuple(f"{mount['Name']}:{mount['Destination']}" for mount in container.data.get("Mounts") or ()
                 if mount.get("Type") == "volume" and len(mount.get("Name", "")) == 64)


def reverse_order(containers: Iterable[Container]) -> Callable[[Container], list[str]]:
    """For each container the names of those that depend on it and so have to stop first."""
    every = list(containers)
    dependents: dict[str, list[str]] = {}
    for container in every:
        for item in container.labels.get(labels.DEPENDS_ON, "").split(","):
            name = item.partition(":")[0]
            if name:
                dependents.setdefault(name, []).append(container.name)
    return lambda container: dependents.get(container.service, [])


def down(project: Project, containers: list[Container], networks: dict[str, Any], volumes: dict[str, Any], *,
         timeout: int | None, with_volumes: bool, images: Iterable[str] = (), pre_stop: bool = True) -> Plan:
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
        if not container.running:
            return
        needs = [f"stop {name}" for name in before]
        service = project.services.get(container.service)
        for index, hook in enumerate((service.get("pre_stop") if service else None) or ()):
            needs = [draft.add(f"pre_stop {index + 1} in {container.name}", "POST", f"/containers/{container.id}/exec",
                               needs=needs, kind="hook", body=hook)]
        draft.add(f"stop {container.name}", "POST", f"/containers/{container.id}/stop", needs=needs,
                  query={"t": timeout}, subject=f"Container {container.name}", doing="Stopping", done="Stopped",
                  lenient=("NotModified", "NotFound"))

    for container in containers:
        visit(container)
