"""The second half of a plan: containers that exist are started, dependencies first, conditions waited for. Pure."""

from __future__ import annotations

from solva.compose import labels
from solva.compose.effects.request import container_request
from solva.compose.stopping import stop_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from solva.compose.observe import Container, Observed
    from solva.compose.plan import Draft
    from solva.compose.project import Project, Service


class Starter:
    """Adds starts, waits and hooks to ``draft``."""

    def __init__(self, project: Project, observed: Observed, draft: Draft, timeout: int | None) -> None:
        self.project = project
        self.draft = draft
        self.timeout = timeout
        self.there: Mapping[str, Container] = {item.name: item for item in observed.containers}
        self.started: dict[str, list[str]] = {}     # service -> keys after which its containers run

    def start(self, service: Service, pending: list[tuple[str, bool]], created: Iterable[str], recreated: set[str],
              names: Mapping[str, list[str]]) -> None:
        """``pending``: (container's name, whether it has to be started). Nothing starts before everything of
        ``created`` exists: a refused creation leaves nothing running."""
        restart = service.name not in recreated and any(
            options.get("restart") and dependency in recreated for dependency, options in service.depends_on.items())
        pending = [(name, must or restart) for name, must in pending]
        before = list(created)
        starting = any(must for _, must in pending)
        for dependency, options in sorted(service.depends_on.items()):
            if starting or self.unsettled(dependency, options, names):
                before += self.dependency(dependency, options, names)
        if starting:
            before += self.pre_start(service, pending, before)
        keys = self.started.setdefault(service.name, [])
        for name, must in pending:
            if must:
                keys.append(self.one(service, name, before, restart=restart))

    def one(self, service: Service, name: str, before: list[str], *, restart: bool) -> str:
        """The start of one container, with the hooks after it; the last key."""
        there = self.there.get(name)
        made = any(key in self.draft.keys for key in (f"create {name}", f"create {there.id[:12]}_{name}" if there
                                                      else ""))
        needs = before
        if there is not None and there.running and restart and not made:
            needs = [*before, *stop_one(self.draft, there, self.timeout, self.project, needs=())]
        verb = "unpause" if there is not None and there.state == "paused" and not made else "start"
        key = self.draft.add(f"start {name}", "POST", f"/containers/{name}/{verb}", needs=needs,
                             subject=f"Container {name}", doing="Starting", done="Started", lenient=("NotModified",))
        for index, hook in enumerate(service.get("post_start") or ()):
            key = self.draft.add(f"post_start {index + 1} in {name}", "POST", f"/containers/{name}/exec", needs=[key],
                                 kind="hook", body=dict(hook), subject=f"Container {name}", doing="Post-start hook",
                                 done="Started")
        return key

    def pre_start(self, service: Service, pending: list[tuple[str, bool]], before: list[str]) -> list[str]:
        """Each ``pre_start`` hook in a container of its own that has the volumes and networks of the first one to be
        started; one that fails is kept to be looked at, and nothing is started."""
        hooks = service.get("pre_start") or ()
        if not hooks:
            return []
        target = next(name for name, must in pending if must)
        needs = before
        for index, hook in enumerate(hooks):
            name = f"{self.project.name}-{service.name}-pre_start-{index}"
            key = self.draft.add(f"clear {name}", "DELETE", f"/containers/{name}", needs=needs, query={"force": True},
                                 lenient=("NotFound",))
            key = self.draft.add(f"create {name}", "POST", "/containers/create", needs=[key], query={"name": name},
                                 body=self.hook_request(service, dict(hook), name, target, index),
                                 subject=f"Container {name}", doing="Creating", done="Created")
            key = self.draft.add(f"start {name}", "POST", f"/containers/{name}/start", needs=[key],
                                 subject=f"Container {name}", doing="Starting", done="Started")
            key = self.draft.add(f"wait completed_successfully {name}", "GET", f"/containers/{name}/json", needs=[key],
                                 kind="wait", body={"condition": "service_completed_successfully", "required": True,
                                                    "hook": f"pre_start[{index}] of service {service.name}"},
                                 subject=f"Container {name}", doing="Waiting", done="Exited")
            key = self.draft.add(f"remove {name}", "DELETE", f"/containers/{name}", needs=[key], query={"v": True},
                                 subject=f"Container {name}", done="Removed", lenient=("NotFound",))
            needs = [key]
        return needs

    def hook_request(self, service: Service, hook: dict[str, Any], name: str, target: str,
                     index: int) -> dict[str, Any]:
        base = {key: value for key, value in service.config.items() if key in (
            "networks", "image", "build", "dns", "extra_hosts", "user", "working_dir", "environment", "security_opt",
            "privileged", "cap_add", "cap_drop", "init")}
        environment = {**(service.get("environment") or {}), **(hook.get("environment") or {})}
        config = {**base, **{key: value for key, value in hook.items() if value is not None},
                  "environment": environment, "restart": "no"}
        known = {**labels.project_labels(self.project), labels.SERVICE: service.name, labels.HOOK: "pre_start",
                 "com.docker.compose.hook-index": str(index)}
        body = container_request(self.project, type(service)(service.name, config), name, known, aliases=False)
        body["HostConfig"]["VolumesFrom"] = [target]
        return body

    def unsettled(self, name: str, options: Mapping[str, Any], names: Mapping[str, list[str]]) -> bool:
        """Whether a condition is to be waited for though nobody is to be started: it may have ceased to hold."""
        condition = options.get("condition", "service_started")
        if condition == "service_started":
            return False
        if self.started.get(name):
            return True
        found = [self.there[container] for container in names.get(name, ()) if container in self.there]
        return condition == "service_healthy" and any(
            not str(item.data.get("Status", "")).endswith("(healthy)") for item in found)

    def dependency(self, name: str, options: Mapping[str, Any], names: Mapping[str, list[str]]) -> list[str]:
        """Keys after which a service may start as far as its dependency ``name`` goes."""
        condition = options.get("condition", "service_started")
        started = self.started.get(name, [])
        if name not in self.project.services or condition == "service_started":
            return started
        keys = []
        for container in names.get(name, []):
            key = f"wait {condition.removeprefix('service_')} {container}"
            if key not in self.draft.keys:
                done = "Healthy" if condition == "service_healthy" else "Exited"
                self.draft.add(key, "GET", f"/containers/{container}/json", needs=started, kind="wait",
                               body={"condition": condition, "required": options.get("required", True)},
                               subject=f"Container {container}", doing="Waiting", done=done)
            keys.append(key)
        return keys
