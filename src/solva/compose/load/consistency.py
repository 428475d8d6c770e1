"""Contradictions inside a project: what refers to nothing, what excludes one another, what waits in a circle."""

from __future__ import annotations

from solva.compose.errors import ComposeError, InvalidProject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.load.places import Places


def check(content: dict[str, Any], disabled: dict[str, Any], places: Places) -> None:
    """Raise unless ``content`` (services enabled) is sound. ``disabled``: services of idle profiles."""
    _Checker(content, disabled, places).check()


class _Checker:
    def __init__(self, content: dict[str, Any], disabled: dict[str, Any], places: Places) -> None:
        self.content = content
        self.services: dict[str, Any] = content["services"]
        self.disabled = disabled
        self.places = places

    def check(self) -> None:
        for name in sorted(self.services):
            entry = self.services[name]
            for rule in (self.source, self.build, self.references, self.limits, self.mounts):
                rule(name, entry)
        for name, entry in sorted((self.content.get("secrets") or {}).items()):
            if not entry.get("external") and not entry.get("file") and not entry.get("environment"):
                raise self.invalid(f'secret "{name}" must declare either `file` or `environment`', "secrets", name)
        check_cycles(self.services, self.places)

    def at(self, *path: str | int) -> str:
        place = self.places.place(path)
        return f"{place}: " if place else ""

    def invalid(self, message: str, *path: str | int) -> InvalidProject:
        return InvalidProject(self.at(*path) + message)

    def near(self, name: str, known: dict[str, Any] | None) -> str:
        from solva.compose.load.validate import suggestion

        return suggestion(name, known or {})

    def source(self, name: str, entry: dict[str, Any]) -> None:
        if "build" not in entry and not entry.get("image") and "provider" not in entry:
            raise self.invalid(f'service "{name}" has neither an image nor a build context specified', "services", name)

    def build(self, name: str, entry: dict[str, Any]) -> None:
        build = entry.get("build")
        if build is None:
            return
        place = ("services", name, "build")
        if build.get("dockerfile_inline") and build.get("dockerfile"):
            raise self.invalid(f'service "{name}" declares mutualy exclusive dockerfile and dockerfile_inline', *place)
        for added, context in sorted((build.get("additional_contexts") or {}).items()):
            if not context.startswith("service:"):
                continue
            other = context[8:]
            where = self.at(*place, "additional_contexts")
            if other not in self.services:
                raise ComposeError(f'{where}service "{name}" declares unknown service "{other}" as additional contexts '
                                   f"{added}")
            if self.services[other].get("build") is None:
                raise ComposeError(f'{where}service "{name}" declares non-buildable service "{other}" as additional '
                                   f"contexts {added}")
        platforms = build.get("platforms")
        if platforms and entry.get("platform") and entry["platform"] not in platforms:
            raise self.invalid(f'service.build.platforms MUST include service.platform "{entry["platform"]}"', *place)

    def references(self, name: str, entry: dict[str, Any]) -> None:
        place = ("services", name)
        if entry.get("network_mode") and entry.get("networks"):
            raise self.invalid(f"service {name} declares mutually exclusive `network_mode` and `networks`", *place,
                               "network_mode")
        self.known(name, "network", "networks", sorted(entry.get("networks") or ()))
        test = (entry.get("healthcheck") or {}).get("test")
        if test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
            raise ComposeError(f'{self.at(*place, "healthcheck", "test")}healthcheck.test must start either by "CMD", '
                               '"CMD-SHELL" or "NONE"')
        for dependency, options in sorted((entry.get("depends_on") or {}).items()):
            if dependency in self.services or (dependency in self.disabled and not options.get("required")):
                continue
            idle = self.disabled.get(dependency)
            why = "" if idle is None else f" (it is of a profile that is not active: {', '.join(idle['profiles'])})"
            raise self.invalid(f'service "{name}" depends on undefined service "{dependency}"'
                               f"{why or self.near(dependency, self.services)}", *place, "depends_on", dependency)
        mode = entry.get("network_mode") or ""
        if mode.startswith("service:") and mode[8:] not in self.services:
            raise ComposeError(f"{self.at(*place, 'network_mode')}service \"{mode[8:]}\" not found for network_mode "
                               f"'{mode}'")
        self.known(name, "volume", "volumes", [
            item["source"] for item in entry.get("volumes") or () if item.get("type") == "volume"
            and item.get("source")], "volumes")
        build = entry.get("build") or {}
        self.known(name, "build secret", "secrets", [item.get("source", "") for item in build.get("secrets") or ()],
                   "build")
        for section, word in (("configs", "config"), ("secrets", "secret")):
            self.known(name, word, section, [item.get("source", "") for item in entry.get(section) or ()], section)
        self.known(name, "model", "models", sorted(entry.get("models") or ()), "models")

    def known(self, name: str, word: str, section: str, wanted: list[str], attribute: str = "") -> None:
        there = self.content.get(section) or {}
        for item in wanted:
            if item not in there:
                raise self.invalid(f'service "{name}" refers to undefined {word} {item}{self.near(item, there)}',
                                   "services", name, attribute or section, item)

    def limits(self, name: str, entry: dict[str, Any]) -> None:
        place = ("services", name)
        deploy = entry.get("deploy")
        scale, replicas = entry.get("scale"), (deploy or {}).get("replicas")
        if scale is not None and deploy is not None:
            if replicas is not None and scale != replicas:
                raise self.distinct(name, "scale", "deploy.replicas")
            replicas = deploy["replicas"] = scale
        for value, attribute in ((scale, "scale"), (replicas, "deploy.replicas")):
            if value is not None and value < 0:
                raise ComposeError(f"{self.at(*place, *attribute.split('.'))}services.{name}.{attribute}: must be "
                                   "greater than or equal to 0")
        resources = (deploy or {}).get("resources") or {}
        for attribute, kind, field in (("cpus", "limits", "cpus"), ("mem_limit", "limits", "memory"),
                                       ("mem_reservation", "reservations", "memory"), ("pids_limit", "limits", "pids")):
            value = float(entry.get(attribute) or 0)
            if value and kind in resources and float(resources[kind].get(field) or 0) != value:
                raise self.distinct(name, attribute, f"deploy.resources.{kind}.{field}")
        count = scale if scale is not None else replicas
        if entry.get("container_name") and count is not None and count > 1:
            raise self.invalid(f"services.{'deploy.replicas' if scale is None else 'scale'}: can't set container_name "
                               f"and {name} as container name must be unique", *place, "container_name")

    def distinct(self, name: str, attribute: str, other: str) -> InvalidProject:
        return self.invalid(f"services.{name}: can't set distinct values on '{attribute}' and '{other}'", "services",
                            name, attribute)

    def mounts(self, name: str, entry: dict[str, Any]) -> None:
        for index, watch in enumerate((entry.get("develop") or {}).get("watch") or ()):
            if not watch.get("target") and watch.get("action") not in ("rebuild", "restart"):
                raise self.invalid(f"services.{name}.develop.watch: target is required for non-rebuild actions",
                                   "services", name, "develop", "watch", index)
        taken: dict[str, str] = {}
        targets = [("tmpfs", index, item.partition(":")[0]) for index, item in enumerate(entry.get("tmpfs") or ())]
        targets += [("volumes", index, item.get("target", "")) for index, item in enumerate(entry.get("volumes") or ())]
        for attribute, index, target in targets:
            where = f"services.{name}.{attribute}[{index}]"
            if target in taken:
                raise ComposeError(f"{self.at('services', name, attribute, index)}{where}: target {target} already "
                                   f"mounted as {taken[target]}")
            taken[target] = where


def check_container_names(services: dict[str, Any], places: Places) -> None:
    """ComposeError when two services want the same container name."""
    owners: dict[str, str] = {}
    for name in sorted(services):
        wanted = services[name].get("container_name")
        if wanted and wanted in owners:
            place = places.place(("services", name, "container_name"))
            raise ComposeError(f'{place}: services.{name}: container name "{wanted}" is already in use by service '
                               f'{owners[wanted]}"')
        if wanted:
            owners[wanted] = name


def check_cycles(services: dict[str, Any], places: Places) -> None:
    """ComposeError that prints the first circle of depends_on."""
    done: set[str] = set()
    trail: list[str] = []

    def visit(name: str) -> None:
        trail.append(name)
        for dependency in sorted(services[name].get("depends_on") or ()):
            if dependency in trail:
                circle = [*trail[trail.index(dependency):], dependency]
                place = places.place(("services", name, "depends_on"))
                raise ComposeError(f"{place}: dependency cycle detected: {' -> '.join(circle)}")
            if dependency in services and dependency not in done:
                visit(dependency)
        trail.pop()
        done.add(name)

    for name in sorted(services):
        if name not in done:
            visit(name)
