"""What every compose verb works with: the global options, the project, the engine, the progress display."""

from __future__ import annotations

import os
import sys

from solva.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from solva.cli.flags import Options
    from solva.client.transport import Transport
    from solva.compose.load.lookup import Location
    from solva.compose.observe import Container
    from solva.compose.plan import Plan
    from solva.compose.progress import Progress
    from solva.compose.project import Project


def verb(name: str, usage: str, short: str, run: Callable[[App, Options], int], *flags: Flag,
         arity: tuple[int, int | None] = (0, None), interspersed: bool = True) -> Command:
    """A compose verb's `Command`."""
    function: Any = run
    every = (*flags, Flag("dry-run", "", "bool", "Execute command in dry run mode"))
    return Command(f"compose {name}", usage, short, function, flags=every, arity=arity, interspersed=interspersed)


class Credentials:
    """What `login` stored, as request headers (`solva.compose.execute.Credentials`)."""

    def of(self, reference: str) -> dict[str, str]:
        from solva.cli.credentials import auth_headers
        from solva.cli.references import parse
        from solva.cli.session import Session

        return auth_headers(Session(), parse(reference).auth_key)

    def every(self) -> dict[str, str]:
        from solva.cli.credentials import everything, header
        from solva.cli.session import Session

        found = everything(Session())
        return {"X-Registry-Config": header(found)} if found else {}

    def login(self, host: str) -> tuple[str, str] | None:
        from solva.cli.credentials import login
        from solva.cli.session import Session

        return login(Session(), host)


def _nothing(session: Any, options: Any) -> int:
    return 0


GLOBAL = Command("compose", "[OPTIONS] COMMAND", "Define and run multi-container applications", _nothing, flags=(
    Flag("all-resources", "", "bool", "Include all resources, even those not used by services"),
    Flag("ansi", "", "string", 'Control when to print ANSI control characters ("never"|"always"|"auto")',
         default="auto"),
    Flag("compatibility", "", "bool", "Run compose in backward compatibility mode"),
    Flag("dry-run", "", "bool", "Execute command in dry run mode"),
    Flag("env-file", "", "list", "Specify an alternate environment file"),
    Flag("file", "f", "list", "Compose configuration files"),
    Flag("parallel", "", "int", "Control max parallelism, -1 for unlimited", default=-1),
    Flag("profile", "", "list", "Specify a profile to enable"),
    Flag("progress", "", "string", "Set type of progress output (auto, tty, plain, json, quiet)"),
    Flag("project-directory", "", "string", "Specify an alternate working directory (default: the path of the, first "
         "specified, Compose file)"),
    Flag("project-name", "p", "string", "Project name"),
    Flag("verbose", "", "bool", "Show more output", hidden=True),
    Flag("version", "v", "bool", "Show the version", hidden=True),
), interspersed=False)


class App:
    """Global options made into things, each only when first wanted."""

    def __init__(self, options: Options, connect: Callable[[], Transport]) -> None:
        self.options = options
        self._connect = connect
        self._api: Transport | None = None
        self._location: Location | None = None
        self.dry_run = options.on("dry-run")
        if options.on("compatibility"):
            from solva.compose.load.options import warn

            warn("--compatibility is not done: names of containers and images keep their hyphens")
        mode = options.text("progress") or os.environ.get("COMPOSE_PROGRESS", "") or "auto"
        if mode not in ("auto", "tty", "plain", "json", "quiet"):
            from solva.cli.errors import CommandError

            raise CommandError(f'unsupported --progress value "{mode}"')
        self.mode = mode
        ansi = options.text("ansi")
        self.ansi = ansi if "ansi" in options.changed else os.environ.get("COMPOSE_ANSI", "") or ansi
        if self.ansi not in ("never", "always", "auto"):
            from solva.cli.errors import CommandError

            raise CommandError(f'unsupported --ansi value "{self.ansi}"; it is never, always or auto')
        limit = os.environ.get("COMPOSE_PARALLEL_LIMIT", "")
        self.parallel = options.number("parallel")
        if "parallel" not in options.changed and limit.lstrip("-").isdigit():
            self.parallel = int(limit)

    @property
    def api(self) -> Transport:
        if self._api is None:
            self._api = self._connect()
        return self._api

    @property
    def location(self) -> Location:
        if self._location is None:
            from solva.compose.load.lookup import locate

            self._location = locate(self.options.many("file"), self.options.text("project-directory"),
                                    self.options.many("env-file"), os.environ, os.getcwd())
        return self._location

    @property
    def colour(self) -> bool:
        ansi = self.ansi
        return ansi == "always" or (ansi != "never" and sys.stdout.isatty() and not os.environ.get("NO_COLOR"))

    @property
    def credentials(self) -> Credentials:
        return Credentials()

    def progress(self, title: str = "Running", *, quiet: bool = False) -> Progress:
        from solva.compose.progress import Progress

        return Progress("quiet" if quiet else self.mode, dry_run=self.dry_run, ansi=self.ansi != "never", title=title)

    def run(self, plan: Plan, progress: Progress | None = None, *, within: float = 0) -> None:
        """Carry ``plan`` out, or show it with ``--dry-run``."""
        from solva.compose.execute import execute

        execute(plan, self.api, progress or self.progress(), parallel=self.parallel, dry_run=self.dry_run,
                within=within, credentials=self.credentials)

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes-or-no variable of the environment or of .env, such as COMPOSE_REMOVE_ORPHANS."""
        text = self.location.environment.get(name, "").lower()
        return text in ("1", "true", "yes", "y", "on") if text else default

    def confirm(self, question: str, *, yes: bool = False, default: bool = False) -> bool:
        """Ask; ``yes``: agreed beforehand. Nothing typed is ``default``."""
        if yes:
            return True
        sys.stdout.write(f"{question} ({'Y/n' if default else 'y/N'}) ")
        sys.stdout.flush()
        answer = sys.stdin.readline().strip().lower()
        if not answer:
            sys.stdout.write("\n")
            return default
        return answer in ("y", "yes")

    def load_options(self, **changes: Any) -> Any:
        from solva.compose.load.lookup import project_name
        from solva.compose.load.options import LoadOptions, warn

        location = self.location
        name = project_name(self.options.text("project-name"), location, lambda _: None,
                            normalize=changes.get("normalize", True), interpolate=changes.get("interpolate", True))
        profiles = tuple(self.options.many("profile")) or tuple(
            item.strip() for item in location.environment.get("COMPOSE_PROFILES", "").split(","))
        environment = {**location.environment, "COMPOSE_PROJECT_NAME": name}
        return LoadOptions(location.paths_from, environment, name=name, profiles=profiles, **{"warn": warn, **changes})

    def project(self, services: Iterable[str] = (), *, keep_env_files: bool = False,
                keep_label_files: bool = True, **changes: Any) -> Project:
        """The project of the files; ComposeError when there are none."""
        from solva.compose.errors import ComposeError
        from solva.compose.load.lookup import NOT_FOUND
        from solva.compose.load.pipeline import load_project

        if not self.location.files:
            raise ComposeError(NOT_FOUND)
        project = load_project(self.location.files, self.load_options(**changes), services=services,
                               all_resources=self.options.on("all-resources"), keep_env_files=keep_env_files,
                               keep_label_files=keep_label_files)
        return self._with_api_socket(project) if keep_label_files else project

    def _with_api_socket(self, project: Project) -> Project:
        if not any(service.get("use_api_socket") for service in project.services.values()):
            return project
        import json

        from solva.compose.effects.api_socket import with_api_socket

        try:
            folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
            with open(os.path.join(folder, "config.json"), encoding="utf-8") as stream:
                auths = json.load(stream).get("auths") or {}
        except (OSError, ValueError):
            auths = {}
        return with_api_socket(project, json.dumps({"auths": auths}, indent="\t"))

    def project_or_name(self, services: Iterable[str] = ()) -> Project:
        """The project of the files, or one that has only a name (``-p`` without a file)."""
        from solva.compose.project import Project

        name = self.options.text("project-name") or self.location.environment.get("COMPOSE_PROJECT_NAME", "")
        if not self.location.files and name:
            return Project(name)
        return self.project(services)

    def name(self) -> str:
        """The project's name alone, at the least cost."""
        from solva.compose.errors import ComposeError
        from solva.compose.load.lookup import NOT_FOUND, project_name

        given = self.options.text("project-name") or self.location.environment.get("COMPOSE_PROJECT_NAME", "")
        if given:
            return given
        if not self.location.files:
            raise ComposeError(NOT_FOUND)
        name = project_name("", self.location, lambda _: None)
        if not name:
            raise ComposeError("project name must not be empty")
        return name

    def containers(self, project: Project, services: Iterable[str] = (), *, every: bool = True,
                   one_off: bool = False) -> list[Container]:
        """The project's containers, of ``services`` if any are named; ComposeError for an unknown one."""
        from solva.compose import observe
        from solva.compose.errors import ComposeError

        wanted = list(services)
        found = observe.containers(self.api, project.name, every=every)
        for name in wanted:
            known = name in project.services or name in project.disabled
            if not known and not any(item.service == name for item in found):
                raise ComposeError(f"no such service: {name}")
        return [item for item in found if (not wanted or item.service in wanted) and (one_off or not item.one_off)]

    def one(self, service: str, index: int = 0) -> Container:
        """A running container of ``service``; the first, or the one with number ``index``."""
        from solva.compose import observe
        from solva.compose.errors import ComposeError

        found = [item for item in observe.containers(self.api, self.name(), every=False)
                 if item.service == service and not item.one_off and (not index or item.number == index)]
        if not found:
            if index:
                raise ComposeError(f'service "{service}" is not running container #{index}')
            raise ComposeError(f'service "{service}" is not running')
        return found[0]
