"""``solva compose``: global options, then one verb, whose module alone is imported."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.cli.flags import Command
    from solva.client.transport import Transport

VERBS = {
    "attach": "Attach local standard input, output, and error streams to a service's running container",
    "build": "Build or rebuild services",
    "commit": "Create a new image from a service container's changes",
    "config": "Parse, resolve and render compose file in canonical format",
    "cp": "Copy files/folders between a service container and the local filesystem",
    "create": "Creates containers for a service",
    "down": "Stop and remove containers, networks",
    "events": "Receive real time events from containers",
    "exec": "Execute a command in a running container",
    "export": "Export a service container's filesystem as a tar archive",
    "graph": "Draw services, dependencies, networks, volumes and ports",
    "images": "List images used by the created containers",
    "kill": "Force stop service containers",
    "logs": "View output from containers",
    "ls": "List running compose projects",
    "pause": "Pause services",
    "plan": "Show what `up` would do, and why",
    "port": "Print the public port for a port binding",
    "ps": "List containers",
    "publish": "Publish compose application",
    "pull": "Pull service images",
    "push": "Push service images",
    "restart": "Restart service containers",
    "rm": "Removes stopped service containers",
    "run": "Run a one-off command on a service",
    "scale": "Scale services",
    "start": "Start services",
    "stats": "Display a live stream of container(s) resource usage statistics",
    "stop": "Stop services",
    "top": "Display the running processes",
    "unpause": "Unpause services",
    "up": "Create and start containers",
    "version": "Show the Docker Compose version information",
    "volumes": "List volumes",
    "wait": "Block until containers of all (or specified) services stop.",
    "watch": "Watch build context for service and rebuild/refresh containers when files are updated",
}
_MODULES = {"convert": "config", "stop": "lifecycle", "start": "lifecycle", "restart": "lifecycle",
            "pause": "lifecycle", "unpause": "lifecycle", "kill": "lifecycle", "rm": "lifecycle", "create": "up",
            "scale": "up", "attach": "delegate", "commit": "delegate", "cp": "delegate",
            "exec": "delegate", "export": "delegate", "stats": "delegate", "volumes": "images", "push": "pull",
            "alpha": "graph", "bridge": "graph"}


def command(name: str) -> Command:
    """The verb of that name; LookupError where there is none."""
    if name not in VERBS and name not in _MODULES:
        raise LookupError(name)
    module_name = f"solva.cli.commands.compose.{_MODULES.get(name, name)}"
    __import__(module_name)
    found: Command = sys.modules[module_name].COMMANDS["config" if name == "convert" else name]
    return found


def main(argv: list[str], connect: Callable[[], Transport]) -> int:
    """Do what ``argv`` (after ``compose``) says; the exit status."""
    from solva.cli.commands.compose.app import GLOBAL, App
    from solva.cli.errors import CommandError
    from solva.cli.flags import HelpWanted, parse
    from solva.compose.errors import ComposeError
    from solva.errors import SolvaError

    try:
        try:
            options = parse(GLOBAL, argv)
        except HelpWanted:
            sys.stdout.write(_help())
            return 0
        if options.on("version"):
            options.args = ["version"]
        if not options.args:
            sys.stdout.write(_help())
            return 0
        name, *rest = options.args
        if name == "help":
            sys.stdout.write(_help())
            return 0
        if name not in VERBS and name not in _MODULES:
            raise CommandError(f'unknown docker command: "compose {name}"{_near(name)}')
        verb = command(name)
        try:
            parsed = parse(verb, rest)
        except HelpWanted:
            from solva.cli import help as texts

            sys.stdout.write(texts.command_help(verb) + "\n")
            return 0
        app = App(options, connect)
        app.dry_run |= parsed.on("dry-run")
        run: Any = verb.run      # a compose verb takes the `App`
        status: int = run(app, parsed)
        return status
    except ComposeError as error:
        return _fail(str(error), error.status)
    except CommandError as error:
        return _fail(str(error), 1 if error.status == 125 else error.status)
    except SolvaError as error:
        from solva.client.transport import EngineUnreachable

        unreachable = isinstance(error, EngineUnreachable)
        return _fail(str(error) if unreachable else f"Error response from daemon: {error}", 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _fail(f"{error.filename}: {(error.strerror or '').lower()}" if error.filename else str(error), 1)
    except KeyboardInterrupt:
        return 130


def _fail(message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(message + "\n")
    return status


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(VERBS), 1, 0.65)
    return f"\n\nDid you mean this?\n\t{near[0]}" if near else ""


def _help() -> str:
    from solva.cli import help as texts
    from solva.cli.commands.compose.app import GLOBAL

    lines = ["Usage:  solva compose [OPTIONS] COMMAND", "", "Define and run multi-container applications", "",
             "Options:", *texts.flag_lines(GLOBAL.flags, texts.columns()), "", "Commands:",
             *texts.table_of(VERBS.items()), "",
             "Run 'solva compose COMMAND --help' for more information on a command."]
    return "\n".join(lines) + "\n"
