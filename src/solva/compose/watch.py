"""What ``develop.watch`` says of a changed file: which rules it touches, and what they ask for. Pure."""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from solva.client.context import Ignore
    from solva.compose.project import Project, Service

# Files that editors write beside the ones that are edited.
_EPHEMERAL = ("**/*___jb_old___", "**/*___jb_tmp___", "**/*.swp", "**/*.swx", "**/*.swo", "**/4913", "**/*~",
              "**/.#*", "**/#*#", "**/.DS_Store", "**/.idea", "**/.vscode/**/*.tmp", "**/.goutputstream-*", "**/.git")
_NOT_SYNCED = ("**/Dockerfile", "**/compose.yaml", "**/compose.yml", "**/docker-compose.yaml",
               "**/docker-compose.yml", "**/compose.override.yaml", "**/compose.override.yml",
               "**/docker-compose.override.yaml", "**/docker-compose.override.yml")
ACTIONS = ("sync", "rebuild", "restart", "sync+restart", "sync+exec")


class Rule:
    """One trigger of one service."""

    __slots__ = ("action", "hook", "ignored", "included", "initial", "number", "path", "service", "target")

    def __init__(self, service: Service, number: int, trigger: dict[str, Any]) -> None:
        from solva.client.context import Ignore, read_ignore

        self.service = service.name
        self.number = number
        self.path = os.path.realpath(str(trigger["path"]))
        self.action = str(trigger["action"])
        self.target = str(trigger.get("target") or "")
        self.hook: dict[str, Any] = dict(trigger.get("exec") or {})
        self.initial = bool(trigger.get("initial_sync") or trigger.get("x-initialSync"))
        self.included: Ignore | None = Ignore(list(trigger["include"])) if trigger.get("include") else None
        self.ignored: list[tuple[str, Ignore]] = [
            (self.path, Ignore(list(trigger.get("ignore") or ()))), ("/", Ignore(list(_EPHEMERAL)))]
        build = service.get("build")
        if build and os.path.isdir(str(build.get("context") or "")):
            context = os.path.realpath(build["context"])
            self.ignored.append((context, read_ignore(context)))

    @property
    def syncs(self) -> bool:
        return self.action.startswith("sync")

    def matches(self, path: str) -> bool:
        """Whether a change of ``path`` (absolute) is this rule's business."""
        if path != self.path and not path.startswith(self.path + "/"):
            return False
        relative = os.path.relpath(path, self.path)
        if self.included is not None and relative != "." and not self.included.matches(relative):
            return False
        return not any(path.startswith(base.rstrip("/") + "/") and ignore.matches(os.path.relpath(path, base))
                       for base, ignore in self.ignored)

    def destination(self, path: str) -> str:
        """Where ``path`` goes in the container."""
        relative = os.path.relpath(path, self.path)
        return self.target if relative == "." else os.path.normpath(os.path.join(self.target, relative))

    def initial_files(self) -> Iterator[str]:
        """What an initial sync copies."""
        from solva.client.context import Ignore

        unwanted = Ignore(list(_NOT_SYNCED))
        if os.path.isfile(self.path):
            if not unwanted.matches(os.path.basename(self.path)):
                yield self.path
            return
        for folder, directories, files in os.walk(self.path):
            directories[:] = [name for name in directories if self._wanted(os.path.join(folder, name))]
            for name in files:
                path = os.path.join(folder, name)
                if self.matches(path) and not unwanted.matches(os.path.relpath(path, self.path)):
                    yield path

    def _wanted(self, directory: str) -> bool:
        relative = os.path.relpath(directory, self.path)
        return not self.ignored[0][1].matches(relative) and os.path.basename(directory) != ".git"


def rules(project: Project, warn: Any) -> list[Rule]:
    """Every trigger of the project; ComposeError for one that cannot work, or when there is none."""
    found = []
    for service in project.services.values():
        triggers = (service.get("develop") or {}).get("watch") or ()
        for number, trigger in enumerate(triggers):
            action = trigger.get("action")
            if action not in ACTIONS:
                raise ComposeError(f"services.{service.name}.develop.watch.{number}.action: unknown action "
                                   f'"{action}"; it is {", ".join(ACTIONS)}')
            if action == "rebuild" and service.get("build") is None:
                raise ComposeError(f'can\'t watch service "{service.name}" with action rebuild without a build context')
            if action == "sync+exec" and not (trigger.get("exec") or {}).get("command"):
                raise ComposeError(f'can\'t watch with action "sync+exec" on service {service.name} without a command')
            if action.startswith("sync") and not trigger.get("target"):
                raise ComposeError(f"services.{service.name}.develop.watch.{number}: {action} needs a target")
            rule = Rule(service, number, trigger)
            if rule.syncs and _bound(rule.path, service):
                warn(f"path '{rule.path}' also declared by a bind mount volume, this path won't be monitored!")
                continue
            found.append(rule)
    if not found:
        raise ComposeError("none of the selected services is configured for watch, consider setting a 'develop' "
                           "section")
    return found


def _bound(path: str, service: Service) -> bool:
    return any(item["type"] == "bind" and (path + "/").startswith(os.path.realpath(item["source"]).rstrip("/") + "/")
               for item in service.get("volumes") or ())


class Batch:
    """What a number of changes asks for, each thing once."""

    __slots__ = ("copies", "hooks", "rebuild", "restart")

    def __init__(self) -> None:
        self.rebuild: dict[str, None] = {}
        self.copies: dict[str, dict[str, str]] = {}     # service -> container path -> host path
        self.restart: dict[str, None] = {}
        self.hooks: dict[str, dict[int, Rule]] = {}


def batch(every: Iterable[Rule], paths: Iterable[str]) -> Batch:
    """Apply ``every`` rule to the changed ``paths``."""
    found = Batch()
    for path in sorted(set(paths)):
        for rule in every:
            if not rule.matches(path):
                continue
            if rule.action == "rebuild":
                found.rebuild[rule.service] = None
            if rule.syncs:
                found.copies.setdefault(rule.service, {})[rule.destination(path)] = path
            if rule.action in ("restart", "sync+restart"):
                found.restart[rule.service] = None
            if rule.action == "sync+exec":
                found.hooks.setdefault(rule.service, {})[rule.number] = rule
    for service in found.rebuild:       # the new container has it all
        found.copies.pop(service, None)
        found.restart.pop(service, None)
        found.hooks.pop(service, None)
    return found


def archive(copies: dict[str, str]) -> tuple[bytes, list[str]]:
    """A tar of the files that are there (container path -> host path), and the container paths of those that are not:
    they were deleted."""
    import io
    import tarfile

    buffer = io.BytesIO()
    gone = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for target, source in sorted(copies.items()):
            try:
                info = tar.gettarinfo(source, arcname=target.lstrip("/"))
                if info is None:
                    continue
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                if info.isreg():
                    with open(source, "rb") as stream:
                        tar.addfile(info, stream)
                elif info.isdir():
                    continue                # with what is in it, or empty: nothing to see
                else:
                    tar.addfile(info)
            except FileNotFoundError:
                gone.append(target)
    return buffer.getvalue(), gone
