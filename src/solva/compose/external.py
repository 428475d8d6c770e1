"""What other programs bring up for a project: providers (``provider:``) and models. Their answers are environment.

The protocol is Docker Compose's: ``PROGRAM compose --project-name=NAME up|down --OPTION=VALUE SERVICE``, messages as
JSON on standard output; ``docker-model`` for models.
"""

from __future__ import annotations

import os

from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from solva.compose.progress import Progress
    from solva.compose.project import Project, Service

_PLUGINS = ("~/.docker/cli-plugins", "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
            "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins")


def find(name: str) -> str:
    """The program of a provider: Docker's command-line plugin of that name, or a program on the PATH; "" for none."""
    import shutil

    for folder in (os.path.join(os.environ.get("DOCKER_CONFIG", ""), "cli-plugins"), *_PLUGINS):
        path = os.path.join(os.path.expanduser(folder), f"docker-{name}")
        if os.access(path, os.X_OK):
            return path
    return shutil.which(name) or ""


def run_providers(project: Project, command: str, progress: Progress, *, dry_run: bool = False,
                  endpoint: str = "") -> Project:
    """Every provider's ``command`` (up, down, stop); the project with what ``up`` told put in the environment of
    their dependents."""
    from solva.compose.reconcile import in_order

    order = in_order(project)
    for service in order if command == "up" else reversed(order):
        if service.get("provider") is None:
            continue
        told = {} if dry_run else _Provider(project, service, endpoint).run(command, progress)
        if command != "up":
            continue
        services = dict(project.services)
        for name, other in project.services.items():
            if service.name in other.depends_on:
                services[name] = other.with_(environment={**(other.get("environment") or {}), **told})
        project = project.replace(services=services)
    return project


class _Provider:
    def __init__(self, project: Project, service: Service, endpoint: str) -> None:
        self.project = project
        self.service = service
        self.endpoint = endpoint
        self.kind = str((service.get("provider") or {}).get("type") or "")
        if self.kind == "compose":
            raise ComposeError("'compose' is not a valid provider type")
        self.path = find(self.kind)
        if not self.path:
            raise ComposeError(f'exec: "{self.kind}": executable file not found in $PATH (provider of service '
                               f"{service.name}; docker-{self.kind} was looked for among Docker's CLI plugins too)")

    def environment(self) -> dict[str, str]:
        values = {**self.project.environment}
        values.setdefault("PATH", os.environ.get("PATH", ""))
        if self.endpoint:
            values["DOCKER_HOST"] = self.endpoint
        return {key: str(value) for key, value in values.items()}

    def metadata(self) -> Mapping[str, Any]:
        import json
        import subprocess

        done = subprocess.run([self.path, "compose", "metadata"], capture_output=True, env=self.environment(),
                              check=False)
        try:
            found = json.loads(done.stdout) if done.returncode == 0 else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def arguments(self, command: str) -> list[str]:
        """The command line; [] when the provider has no such command."""
        known = self.metadata()
        if command == "stop" and "stop" not in known:
            return []
        described = known.get("description") or any((known.get(name) or {}).get("parameters") is not None
                                                    for name in ("up", "down"))
        parameters = {item["name"]: item for item in (known.get(command) or {}).get("parameters") or ()}
        options = (self.service.get("provider") or {}).get("options") or {}
        if described:
            for name, item in parameters.items():
                if item.get("required") and name not in options:
                    raise ComposeError(f'required parameter "{name}" is missing from provider "{self.kind}" definition')
        given = []
        for name, value in options.items():
            if described and name not in parameters:
                continue
            given += [f"--{name}={item}" for item in (value if isinstance(value, list) else [value])]
        return [self.path, "compose", f"--project-name={self.project.name}", command, *given, self.service.name]

    def run(self, command: str, progress: Progress) -> dict[str, str]:
        import subprocess

        argv = self.arguments(command)
        if not argv:
            return {}
        doing, done, verb = {"up": ("Creating", "Created", "create"), "down": ("Removing", "Removed", "remove"),
                             "stop": ("Stopping", "Stopped", "stop")}[command]
        progress.event(self.service.name, doing)
        told: dict[str, str] = {}
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=self.environment())
        try:
            for message in self.messages(process.stdout):
                self.take(message, told, progress)
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if status:
            progress.event(self.service.name, "Error", f"exit status {status}")
            raise ComposeError(f"failed to {verb} service provider: exit status {status}")
        progress.event(self.service.name, done)
        return told

    def messages(self, stream: Any) -> Iterator[dict[str, Any]]:
        import json

        for line in stream:
            if not line.strip():
                continue
            try:
                message = json.loads(line)
            except ValueError:
                raise ComposeError(f"invalid response from plugin: {line.decode(errors='replace').strip()}") from None
            yield message if isinstance(message, dict) else {}

    def take(self, message: dict[str, Any], told: dict[str, str], progress: Progress) -> None:
        kind, text = message.get("type"), str(message.get("message") or "")
        first = text.split("\n", 1)[0]
        if kind == "error":
            progress.event(self.service.name, "Error", first)
            raise ComposeError(text)
        if kind == "info":
            progress.event(self.service.name, first or "Working")
        elif kind in ("setenv", "rawsetenv"):
            key, equals, value = text.partition("=")
            if not equals:
                raise ComposeError(f"invalid response from plugin: {text}")
            told[key if kind == "rawsetenv" else f"{self.service.name.upper()}_{key}"] = value
        elif kind != "debug":
            raise ComposeError(f"invalid response from plugin: {kind}")


def bind_models(project: Project, progress: Progress, *, quiet: bool = False, dry_run: bool = False) -> Project:
    """Models pulled and configured by Docker's model plugin, their names and endpoint in the services' environment."""
    used = {name: service for name, service in project.services.items() if service.get("models")}
    if not project.models or not used:
        return project
    program = find("model")
    if not os.path.basename(program).startswith("docker-model"):
        names = ", ".join(sorted(used))
        raise ComposeError(f"'models' support requires Docker Model plugin (docker-model); wanted by service {names}")
    endpoint = ""
    if not dry_run:
        import json

        endpoint = str(json.loads(_model(program, "status", "--json") or "{}").get("endpoint") or "")
        there = {tag for item in json.loads(_model(program, "ls", "--json") or "[]") for tag in item.get("tags") or ()}
        for name, entry in project.models.items():
            _prepare(program, name, entry, there, progress, quiet)
    services = dict(project.services)
    for name, service in used.items():
        added: dict[str, str] = {}
        for reference, binding in _bindings(service.get("models")):
            prefix = reference.upper().replace("-", "_")
            added[binding.get("model_var") or f"{prefix}_MODEL"] = str(project.models[reference]["model"])
            added[binding.get("endpoint_var") or f"{prefix}_URL"] = endpoint
        services[name] = service.with_(environment={**(service.get("environment") or {}), **added})
    return project.replace(services=services)


def _bindings(value: Any) -> list[tuple[str, Mapping[str, str]]]:
    if isinstance(value, dict):
        return [(name, entry or {}) for name, entry in value.items()]
    return [(name, {}) for name in value]


def _prepare(program: str, name: str, entry: Mapping[str, Any], there: set[str], progress: Progress,
             quiet: bool) -> None:
    model = str(entry["model"])
    if model not in there:
        progress.event(name, "Pulling")
        _model(program, "pull", model)
        progress.event(name, "Pulled")
    size = ["--context-size", str(entry["context_size"])] if entry.get("context_size") else []
    flags = ["--", *entry["runtime_flags"]] if entry.get("runtime_flags") else []
    progress.event(name, "Configuring")
    _model(program, "configure", *size, model, *flags)
    progress.event(name, "Created")


def _model(program: str, *arguments: str) -> str:
    import subprocess

    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ComposeError(f"docker model {arguments[0]} failed with status {done.returncode}: {said}")
    return done.stdout
