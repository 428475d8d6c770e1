"""From what is wanted and what is there to a plan. Pure: no call is made here."""

from __future__ import annotations

from solva.compose import labels
from solva.compose.effects.mounts import contents, digests
from solva.compose.effects.network import network_request, volume_request
from solva.compose.effects.request import container_request
from solva.compose.errors import ComposeError
from solva.compose.hash import network_hash, service_hash, volume_hash
from solva.compose.plan import Draft, Plan
from solva.compose.reasons import Judge, joined, network_differences, shared, unseen, volume_differences
from solva.compose.starting import Starter
from solva.compose.stopping import down, remove, stop_all, stop_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from solva.compose.observe import Container, Observed
    from solva.compose.project import Project, Service

__all__ = ["UpOptions", "container_name", "diverged_volumes", "diverging", "down", "in_order", "orphans", "reconcile",
           "stop_all"]


class UpOptions:
    """What `up`, `create`, `scale` and `run` ask for. ``recreate``: diverged | force | never.

    ``renew``: names of volumes whose configuration changed and that may be made anew, their data lost.
    """

    def __init__(self, *, recreate: str = "diverged", recreate_dependencies: str = "diverged", start: bool = True,
                 timeout: int | None = None, renew_volumes: bool = False, remove_orphans: bool = False,
                 named: Iterable[str] = (), renew: Iterable[str] = ()) -> None:
        self.recreate = recreate
        self.recreate_dependencies = recreate_dependencies
        self.start = start
        self.timeout = timeout
        self.renew_volumes = renew_volumes
        self.remove_orphans = remove_orphans
        self.named = frozenset(named)
        self.renew = frozenset(renew)

    def policy(self, service: str) -> str:
        """diverged | force | never for one service."""
        return self.recreate_dependencies if self.named and service not in self.named else self.recreate


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
    return [item for item in observed.containers if item.service not in known and not item.one_off]


def diverging(project: Project, observed: Observed, options: UpOptions) -> list[Container]:
    """The containers whose configuration is no longer the files': those worth inspecting for the difference."""
    judge = _judged(project, observed, options)
    return [item for item in observed.containers if "its configuration changed" in judge.reasons.get(item.id, ())]


def diverged_volumes(project: Project, observed: Observed) -> dict[str, list[str]]:
    """Volumes of the project that are not as the files say: name -> differences."""
    found = {}
    for key, entry in sorted(project.volumes.items()):
        there = observed.volumes.get(entry["name"])
        given = ((there or {}).get("Labels") or {}).get(labels.CONFIG_HASH)
        if there is not None and not entry.get("external") and given and given != volume_hash(entry):
            found[entry["name"]] = volume_differences(volume_request(project, key), there)
    return found


def reconcile(project: Project, observed: Observed, options: UpOptions) -> Plan:
    """The plan that makes ``observed`` what ``project`` says."""
    return _Reconciler(project, observed, options).plan()


def _judged(project: Project, observed: Observed, options: UpOptions) -> Judge:
    judge = Judge(project, observed, {name: options.policy(name) for name in project.services})
    for service in in_order(project):
        if service.get("provider") is None:
            judge.of(service)
    return judge


class _Reconciler:
    def __init__(self, project: Project, observed: Observed, options: UpOptions) -> None:
        self.project = project
        self.observed = observed
        self.options = options
        self.draft = Draft()
        self.ready: dict[str, list[str]] = {}       # service -> keys after which its containers exist
        self.names: dict[str, list[str]] = {}       # service -> names of its containers
        self.gone: dict[str, list[Container]] = {}  # service -> containers removed with their network or volume
        self.anew: dict[str, str] = {}              # container id -> why it had to go with it
        self.volumes: dict[str, str] = {}
        self.networks: dict[str, str] = {}
        self.judge = _judged(project, observed, options)

    def plan(self) -> Plan:
        self.create_networks()
        self.create_volumes()
        if self.options.remove_orphans:
            for container in orphans(self.project, self.observed):
                remove(self.draft, container, self.options.timeout)
        starts: list[tuple[Service, list[tuple[str, bool]]]] = []
        for service in in_order(self.project):
            if service.get("provider") is None:
                starts.append((service, self.converge(service)))
        if self.options.start:
            starter = Starter(self.project, self.observed, self.draft, self.options.timeout)
            created = [key for keys in self.ready.values() for key in keys]
            for service, pending in starts:
                starter.start(service, pending, created, self.judge.recreated, self.names)
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
            body = network_request(self.project, key)
            needs: list[str] = []
            back: list[tuple[Container, Any]] = []
            if there is not None:
                found = (there.get("Labels") or {}).get(labels.CONFIG_HASH, "")
                if not found or found == network_hash(entry):
                    continue
                reason = "; ".join(network_differences(body, there))
                needs, back = self.vacate(name, there["Id"], f"network {name} is made anew: {reason}")
                needs = [self.draft.add(f"remove network {name}", "DELETE", f"/networks/{there['Id']}", needs=needs,
                                        subject=f"Network {name}", doing="Removing", done="Removed", reason=reason)]
            self.networks[key] = self.draft.add(
                f"create network {name}", "POST", "/networks/create", needs=needs, body=body,
                subject=f"Network {name}", doing="Creating", done="Created")
            for container, endpoint in back:
                self.draft.add(f"connect {container.name} to {name}", "POST", f"/networks/{name}/connect",
                               needs=[self.networks[key]], body={"Container": container.id, "EndpointConfig": endpoint})

    def vacate(self, network: str, identifier: str, reason: str) -> tuple[list[str], list[tuple[Container, Any]]]:
        """Take the containers off a network that has to go: the project's are made anew, others come back to it."""
        keys = []
        back = []
        for container in self.observed.containers:
            if network not in container.networks:
                continue
            if container.service in self.project.services and not container.one_off:
                keys.append(self.displace(container, reason))
                continue
            endpoint = container.networks[network] or {}
            keys.append(self.draft.add(f"disconnect {container.name} from {network}", "POST",
                                       f"/networks/{identifier}/disconnect", lenient=("NotFound",),
                                       body={"Container": container.id, "Force": True}))
            back.append((container, {"Aliases": endpoint.get("Aliases")}))
        return keys, back

    def displace(self, container: Container, reason: str) -> str:
        """Remove a container now; its successor is made when what it needs is there again."""
        if container.id not in self.anew:
            self.gone.setdefault(container.service, []).append(container)
            self.judge.recreated.add(container.service)
        self.anew[container.id] = reason
        return remove(self.draft, container, self.options.timeout, self.project)

    def create_volumes(self) -> None:
        diverged = diverged_volumes(self.project, self.observed) if self.options.renew else {}
        for key, entry in sorted(self.project.volumes.items()):
            name = entry["name"]
            needs: list[str] = []
            if name in self.observed.volumes:
                if name not in self.options.renew or name not in diverged:
                    continue
                reason = "; ".join(diverged[name])
                for container in self.observed.containers:
                    if any(mount.get("Name") == name for mount in container.data.get("Mounts") or ()):
                        needs.append(self.displace(container, f"volume {name} is made anew: {reason}"))
                needs = [self.draft.add(f"remove volume {name}", "DELETE", f"/volumes/{name}", needs=needs,
                                        subject=f"Volume {name}", doing="Removing", done="Removed", reason=reason)]
            elif entry.get("external"):
                raise ComposeError(f'external volume "{name}" not found')
            self.volumes[key] = self.draft.add(
                f"create volume {name}", "POST", "/volumes/create", needs=needs,
                body=volume_request(self.project, key), subject=f"Volume {name}", doing="Creating", done="Created")

    # --- containers ----------------------------------------------------------------------------------------------
    def converge(self, service: Service) -> list[tuple[str, bool]]:
        """Create, recreate, remove; returns (name, must be started) of every container that stays."""
        wanted = service.scale
        if wanted > 1 and service.get("container_name"):
            raise ComposeError(
                f'WARNING: The "{service.name}" service is using the custom container name '
                f'"{service.get("container_name")}". Docker requires each container to have a unique name. Remove the '
                "custom name to scale the service")
        found = [item for item in self.observed.of(service.name) if item.id not in self.anew]
        found = self.without_leftovers(found)
        reasons = self.judge.reasons
        found.sort(key=lambda item: (bool(reasons.get(item.id)), item.number))
        keep, surplus = sorted(found[:wanted], key=lambda item: item.number), found[wanted:]
        for container in surplus:
            remove(self.draft, container, self.options.timeout, self.project)
        pending: list[tuple[str, bool]] = []
        self.names[service.name] = []
        for container in keep:
            name = container_name(self.project, service, container.number)
            if reasons.get(container.id):
                self.recreate(service, container, "; ".join(reasons[container.id]))
                pending.append((name, True))
            else:
                name = container.name
                needs_start = container.state not in ("running", "restarting")
                self.draft.notes.append((f"Container {name}", "Created" if needs_start else "Running"))
                pending.append((name, needs_start))
            self.names[service.name].append(name)
        pending += self.fill(service, wanted - len(keep), {item.number for item in found})
        return pending

    def without_leftovers(self, found: list[Container]) -> list[Container]:
        """Remove successors that an interrupted recreation left under a temporary name."""
        numbers = {item.number for item in found if not item.temporary}
        kept = []
        for item in found:
            if item.temporary and item.number in numbers:
                remove(self.draft, item, self.options.timeout)
            else:
                kept.append(item)
                if item.temporary:          # the old one is gone already: make it anew under its own name
                    self.judge.reasons[item.id] = ("its recreation was interrupted",)
        return kept

    def fill(self, service: Service, missing: int, taken: set[int]) -> list[tuple[str, bool]]:
        """The containers that are not there yet, under the lowest free numbers."""
        made = []
        displaced = {item.number: item for item in self.gone.get(service.name, ())}
        number = 0
        for _ in range(missing):
            number += 1
            while number in taken:
                number += 1
            name = container_name(self.project, service, number)
            before = displaced.get(number)
            inherited = anonymous_volumes(before) if before and not self.options.renew_volumes else ()
            needs = [f"remove {before.name}"] if before else []
            key = self.create(service, name, name, number, inherited, "Creating" if not before else "Recreate",
                              "Created" if not before else "Recreated", self.anew[before.id] if before else "", needs)
            self.ready.setdefault(service.name, []).append(key)
            self.names[service.name].append(name)
            made.append((name, True))
        return made

    def create(self, service: Service, name: str, final: str, number: int, inherited: tuple[str, ...], doing: str,
               done: str, reason: str, needs: Iterable[str] = (), replaces: str = "", chain: str = "") -> str:
        reference = service.image(self.project.name)
        image = self.observed.images.get(reference, "")
        places = {attribute: self.first(other, attribute) for attribute, other in shared(service).items()}
        resolved = type(service)(service.name, joined(service.config, places))
        copies = contents(self.project, service)
        known = labels.container_labels(self.project, service, number, service_hash(service), image)
        if service.get("configs") or service.get("secrets"):
            known[labels.CONTENTS] = " ".join(f"{target}={digest}" for target, digest in
                                              sorted(digests(self.project, service, copies).items()))
        if hidden := unseen(service):
            known[labels.UNSEEN] = " ".join(f"{name}={digest}" for name, digest in hidden.items())
        if replaces:
            known[labels.REPLACE] = replaces
        late: dict[str, Any] = {}
        if not image:
            late["image"] = reference
        if places:
            late["shares"], late["config"] = places, dict(service.config)
        before = [*needs, *(self.networks[key] for key in service.get("networks") or () if key in self.networks),
                  *(self.volumes[item["source"]] for item in service.get("volumes") or ()
                    if item.get("source") in self.volumes)]
        for dependency in dict.fromkeys(shared(service).values()):
            before += self.ready.get(dependency, [])
        key = self.draft.add(
            f"create {name}", "POST", "/containers/create", needs=before,
            query={"name": name, "platform": service.get("platform")},
            body=container_request(self.project, resolved, final, known, inherited=inherited),
            subject=f"Container {final}", doing=doing, done=done, reason=reason, chain=chain, late=late or None)
        for target, data, given in copies:
            key = self.draft.add(f"copy {target} to {name}", "PUT", f"/containers/{name}/archive", needs=[key],
                                 kind="copy", query={"path": "/"}, body=(target, data, dict(given)), chain=chain)
        return key

    def recreate(self, service: Service, old: Container, reason: str) -> None:
        name = container_name(self.project, service, old.number)
        temporary = f"{old.id[:12]}_{name}"
        inherited = () if self.options.renew_volumes else anonymous_volumes(old)
        chain = f"recreate {name}"
        before = [key for dependent in self.restarted_with(service) for key in
                  stop_one(self.draft, dependent, self.options.timeout, self.project)]
        key = self.create(service, temporary, name, old.number, inherited, "Recreate", "", reason, replaces=old.id,
                          chain=chain)
        if old.running:
            key = stop_one(self.draft, old, self.options.timeout, self.project, needs=[key, *before],
                           silent=True, chain=chain)[-1]
        key = self.draft.add(f"remove {old.name}", "DELETE", f"/containers/{old.id}", needs=[key], chain=chain,
                             query={"v": self.options.renew_volumes or None, "force": True}, lenient=("NotFound",))
        key = self.draft.add(f"rename {temporary}", "POST", f"/containers/{temporary}/rename", needs=[key],
                             query={"name": name}, subject=f"Container {name}", done="Recreated", chain=chain)
        self.ready.setdefault(service.name, []).append(key)

    def restarted_with(self, service: Service) -> list[Container]:
        """Running containers of services that are to be restarted when ``service`` is made anew, and stay."""
        found = []
        for other in self.project.services.values():
            if (other.depends_on.get(service.name) or {}).get("restart"):
                found += [item for item in self.observed.of(other.name)
                          if item.running and not self.judge.reasons.get(item.id) and item.id not in self.anew]
        return found

    def first(self, service: str, what: str) -> str:
        names = self.names.get(service) or [item.name for item in self.observed.of(service)]
        if not names:
            raise ComposeError(f"cannot share {what.partition('.')[0]} with service {service}: container missing")
        return names[0]


def anonymous_volumes(container: Container) -> tuple[str, ...]:
    """Binds that carry the container's nameless volumes over to its successor."""
    return tuple(f"{mount['Name']}:{mount['Destination']}" for mount in container.data.get("Mounts") or ()
                 if mount.get("Type") == "volume" and len(mount.get("Name", "")) == 64)
