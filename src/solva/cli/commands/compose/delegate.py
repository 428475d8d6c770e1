"""Verbs that are Solva's own container verbs on a service's container: exec, attach, cp, stats, export, commit."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.observe import Container

_INDEX = Flag("index", "", "int", "Index of the container if service has multiple replicas")


def call(app: App, argv: list[str]) -> int:
    """``solva ARGV`` on the same engine; with --dry-run it is only shown."""
    if app.dry_run:
        sys.stderr.write(f" DRY-RUN MODE -  solva {' '.join(argv)}\n")
        return 0
    from solva.cli.main import run

    return run(["-H", app.api.endpoint, *argv])


def exec_(app: App, options: Options) -> int:
    service, *command = options.args
    container = app.one(service, options.number("index"))
    argv = ["exec"]
    if options.on("detach"):
        argv.append("--detach")
    else:
        if not options.on("no-tty") and sys.stdin.isatty() and sys.stdout.isatty():
            argv.append("--tty")
        if options.on("interactive"):
            argv.append("--interactive")
    for name in ("env",):
        argv += [f"--env={item}" for item in options.many(name)]
    for name in ("user", "workdir"):
        if options.text(name):
            argv += [f"--{name}", options.text(name)]
    if options.on("privileged"):
        argv.append("--privileged")
    return call(app, [*argv, container.id, *command])


def attach(app: App, options: Options) -> int:
    argv = ["attach", f"--sig-proxy={str(options.on('sig-proxy')).lower()}"]
    if options.on("no-stdin"):
        argv.append("--no-stdin")
    if options.text("detach-keys"):
        argv.append(f"--detach-keys={options.text('detach-keys')}")
    return call(app, [*argv, app.one(options.args[0], options.number("index")).id])


def cp(app: App, options: Options) -> int:
    """Out of a service's first container, or into all of them; ``--index`` names one."""
    from solva.cli.errors import CommandError

    source, target = options.args
    places = [_place(text) for text in (source, target)]
    if all(places):
        raise CommandError("copying between services is not supported")
    if not any(places):
        raise CommandError("unknown copy direction")
    flags = [f"--{name}" for name in ("archive", "follow-link") if options.on(name)]
    service, path = places[0] or places[1] or ("", "")
    found = _copied(app, service, options.number("index"), one_off=options.on("all"))
    if places[0]:
        return 0 if app.dry_run else call(app, ["cp", *flags, f"{found[0].id}:{path}", target])
    status = 0
    for item in found:
        if app.dry_run:
            sys.stderr.write(f" DRY-RUN MODE -  Container {item.name}  Copy {source} to {item.name}:{path}\n")
        else:
            status = call(app, ["cp", *flags, source, f"{item.id}:{path}"]) or status
    return status


def _place(text: str) -> tuple[str, str] | None:
    service, colon, path = text.partition(":")
    return (service, path) if colon and service and "/" not in service and not text.startswith(".") else None


def _copied(app: App, service: str, index: int, *, one_off: bool) -> list[Container]:
    from solva.compose import observe
    from solva.compose.errors import ComposeError

    found = [item for item in observe.containers(app.api, app.name()) if item.service == service
             and (one_off or not item.one_off) and (not index or item.number == index)]
    if not found:
        raise ComposeError(f'no container found for service "{service}"')
    return found


def export(app: App, options: Options) -> int:
    output = ["-o", options.text("output")] if options.text("output") else []
    return call(app, ["export", *output, app.one(options.args[0], options.number("index")).id])


def commit(app: App, options: Options) -> int:
    argv = ["commit", f"--pause={str(options.on('pause')).lower()}"]
    for name in ("author", "message"):
        if options.text(name):
            argv += [f"--{name}", options.text(name)]
    argv += [f"--change={item}" for item in options.many("change")]
    return call(app, [*argv, app.one(options.args[0], options.number("index")).id, *options.args[1:]])


def stats(app: App, options: Options) -> int:
    project = app.project_or_name(options.args)
    found = app.containers(project, options.args, every=options.on("all"))
    flags = [f"--{name}" for name in ("no-stream", "no-trunc", "all") if options.on(name)]
    if options.text("format"):
        flags += ["--format", options.text("format")]
    return call(app, ["stats", *flags, *(item.name for item in found)]) if found else 0


COMMANDS = {
    "exec": verb("exec", "[OPTIONS] SERVICE COMMAND [ARGS...]", "Execute a command in a running container", exec_,
                 _INDEX, Flag("detach", "d", "bool", "Detached mode: Run command in the background"),
                 Flag("env", "e", "list", "Set environment variables"),
                 Flag("interactive", "i", "bool", "Keep STDIN open even if not attached", default=True, hidden=True),
                 Flag("no-tty", "T", "bool", "Disable pseudo-TTY allocation."),
                 Flag("tty", "t", "bool", "Allocate a pseudo-TTY", hidden=True),
                 Flag("privileged", "", "bool", "Give extended privileges to the process"),
                 Flag("user", "u", "string", "Run the command as this user"),
                 Flag("workdir", "w", "string", "Path to workdir directory for this command"),
                 arity=(2, None), interspersed=False),
    "attach": verb("attach", "[OPTIONS] SERVICE", "Attach local standard input, output, and error streams to a "
                   "service's running container", attach, _INDEX,
                   Flag("detach-keys", "", "string", "Override the key sequence for detaching from a container."),
                   Flag("no-stdin", "", "bool", "Do not attach STDIN"),
                   Flag("sig-proxy", "", "bool", "Proxy all received signals to the process", default=True),
                   arity=(1, 1)),
    "cp": verb("cp", "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
               "Copy files/folders between a service container and the "
               "local filesystem", cp, _INDEX,
               Flag("all", "", "bool", "Include containers created by the run command"),
               Flag("archive", "a", "bool", "Archive mode (copy all uid/gid information)"),
               Flag("follow-link", "L", "bool", "Always follow symbol link in SRC_PATH"), arity=(2, 2)),
    "export": verb("export", "[OPTIONS] SERVICE", "Export a service container's filesystem as a tar archive", export,
                   _INDEX, Flag("output", "o", "string", "Write to a file, instead of STDOUT"), arity=(1, 1)),
    "commit": verb("commit", "[OPTIONS] SERVICE [REPOSITORY[:TAG]]", "Create a new image from a service container's "
                   "changes", commit, _INDEX, Flag("author", "a", "string", "Author"),
                   Flag("change", "c", "list", "Apply Dockerfile instruction to the created image"),
                   Flag("message", "m", "string", "Commit message"),
                   Flag("pause", "p", "bool", "Pause container during commit", default=True), arity=(1, 2)),
    "stats": verb("stats", "[OPTIONS] [SERVICE]", "Display a live stream of container(s) resource usage statistics",
                  stats, Flag("all", "a", "bool", "Show all containers (default shows just running)"),
                  Flag("format", "", "string", "Format output using a custom template"),
                  Flag("no-stream", "", "bool", "Disable streaming stats and only pull the first result"),
                  Flag("no-trunc", "", "bool", "Do not truncate output")),
}
