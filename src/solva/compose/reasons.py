"""Whether a container has to be made anew, and why: in words a user can act on. Pure."""

from __future__ import annotations

from solva.compose import labels
from solva.compose.effects.mounts import contents, digests
from solva.compose.hash import service_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from solva.compose.observe import Container, Observed
    from solva.compose.project import Project, Service

_UNSEEN = ("post_start", "pre_stop", "develop", "deploy", "pre_start", "attach", "configs", "secrets", "models")
NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


def shared(service: Service) -> dict[str, str]:
    """attribute -> the service whose namespace or volumes it takes; ``volumes_from`` has a key for each."""
    found = {attribute: str(service.get(attribute))[8:] for attribute in NAMESPACES
             if str(service.get(attribute) or "").startswith("service:")}
    for index, item in enumerate(service.get("volumes_from") or ()):
        if not item.startswith("container:"):
            found[f"volumes_from.{index}"] = item.partition(":")[0]
    return found


def joined(config: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """``config`` with each service it takes a namespace or volumes of replaced by a container of ``places``."""
    changed = dict(config)
    sources = list(changed.get("volumes_from") or ())
    for attribute, place in places.items():
        name, _, index = attribute.partition(".")
        if index:
            _, colon, mode = sources[int(index)].partition(":")
            sources[int(index)] = f"{place}{colon}{mode}"
        else:
            changed[name] = f"container:{place}"
    if sources:
        changed["volumes_from"] = sources
    return changed


def hashes(service: Service, observed: Observed) -> set[str]:
    """The hashes that a container of ``service`` may bear. Where it joins another's namespace, Docker Compose hashes
    that container's id."""
    found = {service_hash(service)}
    places = {}
    for attribute, name in shared(service).items():
        others = observed.of(name)
        if not others:
            return found
        places[attribute] = others[0].id
    if places:
        found.add(service_hash(type(service)(service.name, joined(service.config, places))))
    return found


def unseen(service: Service) -> dict[str, str]:
    """attribute -> digest, of those that leave no trace in a container, for saying later which of them changed."""
    from hashlib import sha256

    from solva.compose.render import go_json

    return {name: sha256(go_json(service.config[name]).encode()).hexdigest()[:8]
            for name in _UNSEEN if service.config.get(name)}


class Judge:
    """Decides for all containers of a project at once: whoever joins a container made anew is made anew too."""

    def __init__(self, project: Project, observed: Observed, policies: Mapping[str, str]) -> None:
        self.project = project
        self.observed = observed
        self.policies = policies
        self.reasons: dict[str, tuple[str, ...]] = {}       # container id -> reasons, empty: it stays
        self.recreated: set[str] = set()

    def of(self, service: Service) -> None:
        """Judge the containers of ``service``; those it depends on have been judged before."""
        policy = self.policies.get(service.name, "diverged")
        for container in self.observed.of(service.name):
            found = tuple(self._of(service, container, policy))
            self.reasons[container.id] = found
            if found:
                self.recreated.add(service.name)

    def _of(self, service: Service, container: Container, policy: str) -> list[str]:
        if policy == "never":
            return []
        if policy == "force":
            return ["forced"]
        found = [f"{attribute.partition('.')[0]} is of service {name}, which is made anew"
                 for attribute, name in shared(service).items() if name in self.recreated]
        if container.labels.get(labels.CONFIG_HASH) not in hashes(service, self.observed):
            found += self._configuration(service, container)
        image = self.observed.images.get(service.image(self.project.name), "")
        known = container.labels.get(labels.IMAGE)
        if image and known != image:
            found.append(f"image {service.image(self.project.name)}: {_short(known)} → {_short(image)}")
        found += self._content(service, container)
        if container.running:
            found += [f"it is not connected to network {self.project.networks[key]['name']}"
                      for key in service.get("networks") or ()
                      if self.project.networks[key]["name"] not in container.networks]
        mounted = {mount.get("Name") for mount in container.data.get("Mounts") or () if mount.get("Type") == "volume"}
        for item in service.get("volumes") or ():
            if item["type"] == "volume" and item.get("source"):
                name = self.project.volumes[item["source"]]["name"]
                if name not in mounted:
                    found.append(f"volume {name} is not mounted")
        return list(dict.fromkeys(found))

    def _configuration(self, service: Service, container: Container) -> list[str]:
        there = self.observed.details.get(container.id)
        if there is None:
            return ["its configuration changed"]
        from solva.compose.effects.request import container_request
        from solva.compose.explain import differences

        places = dict.fromkeys(shared(service), "")
        wanted = container_request(self.project, type(service)(service.name, joined(service.config, places)),
                                   container.name, {})
        found = differences(wanted, there, self.observed.details.get(there.get("Image", "")) or {})
        before = dict(row.partition("=")[::2] for row in container.labels.get(labels.UNSEEN, "").split())
        after = unseen(service)
        if labels.UNSEEN in container.labels or labels.CONTENTS in container.labels:
            found += [f"{attribute} changed" for attribute in sorted({*before, *after})
                      if before.get(attribute) != after.get(attribute)]
        version = container.labels.get(labels.VERSION, "")
        return found or ["its configuration changed in what a container does not show, such as "
                         f"{', '.join(after or _UNSEEN[:4])} (made by Compose {version})"]

    def _content(self, service: Service, container: Container) -> list[str]:
        given = container.labels.get(labels.CONTENTS)
        if given is None or not (service.get("configs") or service.get("secrets")):
            return []
        before = dict(row.partition("=")[::2] for row in given.split())
        after = digests(self.project, service, contents(self.project, service))
        return [f"content of {target} changed" for target in sorted({*before, *after})
                if before.get(target) != after.get(target)]


def _short(image: str | None) -> str:
    return (image or "(unknown)").removeprefix("sha256:")[:12]


def network_differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What of a network the files want otherwise."""
    from solva.compose.explain import show

    found = []
    for field, attribute, default in (("Driver", "driver", "bridge"), ("Internal", "internal", False),
                                      ("Attachable", "attachable", False), ("EnableIPv6", "enable_ipv6", False),
                                      ("EnableIPv4", "enable_ipv4", True), ("Options", "driver_opts", {})):
        before, after = there.get(field, default), wanted.get(field, default)
        if (before or None) != (after or None):
            found.append(f"{attribute}: {show(before)} → {show(after)}")
    pools = [[{key: value for key, value in pool.items() if value} for pool in (ipam or {}).get("Config") or ()]
             for ipam in (there.get("IPAM"), wanted.get("IPAM"))]
    if pools[1] and pools[0] != pools[1]:
        found.append(f"ipam: {_pools(pools[0])} → {_pools(pools[1])}")
    found += _own_labels(there, wanted)
    return found or ["its configuration changed"]


def _pools(pools: list[dict[str, Any]]) -> str:
    return ", ".join(" ".join(f"{key.lower()}={value}" for key, value in pool.items()) for pool in pools) or "(any)"


def volume_differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What of a volume the files want otherwise."""
    from solva.compose.explain import show

    found = []
    for ours, theirs, attribute in (("Driver", "Driver", "driver"), ("DriverOpts", "Options", "driver_opts")):
        before, after = there.get(theirs) or None, wanted.get(ours) or None
        if before != after:
            found.append(f"{attribute}: {show(before)} → {show(after)}")
    found += _own_labels(there, wanted)
    return found or ["its configuration changed"]


def _own_labels(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    from solva.compose.explain import show

    pair = [{key: value for key, value in (entry.get("Labels") or {}).items() if not key.startswith(labels.PREFIX)}
            for entry in (there, wanted)]
    return [f"labels: {show(pair[0])} → {show(pair[1])}"] if pair[0] != pair[1] else []
