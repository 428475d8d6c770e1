"""The `solva` command: global options, then one verb, whose module alone is imported."""

from __future__ import annotations

import os
import sys

from solva.cli.catalog import GROUPS, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Command
    from solva.cli.session import Session

_WITH_VALUE = {
    "-H": "host", "--host": "host", "-c": "context", "--context": "context", "--config": "config",
    "-l": "log-level", "--log-level": "log-level", "--tlscacert": "ca", "--tlscert": "cert", "--tlskey": "key",
}


def main(argv: list[str] | None = None) -> None:
    """Console entry point; ends the process, with the interpreter's slow farewell skipped."""
    status = run(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    os._exit(status)


def run(argv: list[str]) -> int:
    """Do what ``argv`` says and return the exit status; messages go to standard error."""
    from solva.cli.errors import CommandError, Exit, UsageError
    from solva.errors import SolvaError

    try:
        return _dispatch(argv)
    except Exit as end:
        return end.status
    except UsageError as error:
        _complain(error)
        return error.status
    except CommandError as error:
        _tell(str(error))
        return error.status
    except SolvaError as error:
        from solva.cli.session import response_error

        _tell(response_error(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone, as in `solva logs x | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141


def _tell(text: str) -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    sys.stderr.write(text + "\n")


def _complain(error: Exception) -> None:
    from solva.cli import help as texts

    command: Command | None = getattr(error, "command", None)
    _tell(str(error))
    if command is not None:
        see = "See" if " at least " in str(error) and str(error).startswith("solva: ") else "Run"
        tail = f"{see} 'solva {command.name} --help' for more information"
        _tell(f"\n{texts.usage_line(command)}\n\n{tail}")
    else:
        _tell("\nUsage:  solva [OPTIONS] COMMAND [ARG...]\n\nRun 'solva --help' for more information")


def _dispatch(argv: list[str]) -> int:
    from solva.cli.session import Session

    session = Session()
    rest = _global_options(session, argv)
    if not rest:
        from solva.cli.pages import root_help

        sys.stdout.write(root_help())
        return 0
    name, arguments = rest[0], rest[1:]
    if name == "compose":
        return _compose(session, arguments)
    if name == "__complete":
        from solva.cli.commands.system.completion import complete

        return complete(session, arguments)
    if name == "help":
        return _dispatch([*arguments, "--help"])
    group = GROUPS.get(name)
    if group is not None:
        verb, arguments = _verb_of_group(name, arguments)
        if verb is None:
            return 0
        return execute(session, load(group[1][verb][0]), arguments)
    if name not in VERBS:
        from solva.cli.pages import unknown_command

        raise unknown_command("", name)
    return execute(session, load(VERBS[name][0]), arguments)


def load(place: str) -> Command:
    """The `Command` at ``package.module`` or ``package.module:NAME`` of `solva.cli.commands`."""
    module_name, _, attribute = place.partition(":")
    full = f"solva.cli.commands.{module_name}"
    __import__(full)
    command: Command = getattr(sys.modules[full], attribute or "COMMAND")
    return command


def execute(session: Session, command: Command, arguments: list[str]) -> int:
    """Parse ``arguments`` and run the verb."""
    from solva.cli.flags import HelpWanted, parse

    try:
        options = parse(command, arguments)
    except HelpWanted as wanted:
        from solva.cli.help import command_help

        sys.stdout.write(command_help(wanted.command) + "\n")
        return 0
    return command.run(session, options)


def _compose(session: Session, arguments: list[str]) -> int:
    from solva.cli.commands.compose import main as compose_main

    status: int = compose_main(arguments, session.connect)
    return status


def _verb_of_group(name: str, arguments: list[str]) -> tuple[str | None, list[str]]:
    """The verb inside a group and what follows; None when help was printed instead."""
    from solva.cli.pages import group_help, unknown_command

    verbs = GROUPS[name][1]
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        if "" in verbs and not arguments:
            return "", arguments
        stream = sys.stdout if arguments else sys.stderr
        stream.write(group_help(name))
        return None, arguments
    if arguments[0] in verbs:
        return arguments[0], arguments[1:]
    if arguments[0].startswith("-"):
        from solva.cli.errors import UsageError

        if "" in verbs:
            return "", arguments
        text = arguments[0].partition("=")[0]
        raise UsageError(f"unknown flag: {text}" if text.startswith("--") else
                         f"unknown shorthand flag: '{text[1]}' in {text}")
    raise unknown_command(name, arguments[0])


def _global_options(session: Session, argv: list[str]) -> list[str]:
    """Take the options before the verb into ``session``; the rest."""
    from solva.cli.errors import CommandError, Exit, UsageError

    index = 0
    while index < len(argv):
        word = argv[index]
        if not word.startswith("-") or word == "-":
            break
        index += 1
        name, equals, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2 and word[:2] in _WITH_VALUE:
            name, equals, value = word[:2], "=", word[2:].removeprefix("=")
        kind = _WITH_VALUE.get(name)
        if kind is not None:
            if not equals:
                if index == len(argv):
                    raise UsageError(f"flag needs an argument: {name}" if name.startswith("--") else
                                     f"flag needs an argument: '{name[1]}' in {name}")
                value = argv[index]
                index += 1
            _set_global(session, kind, value)
        elif name in ("-h", "--help"):
            from solva.cli.pages import root_help

            sys.stdout.write(root_help())
            raise Exit(0)
        elif name in ("-v", "--version"):
            from solva.cli.pages import version_line

            sys.stdout.write(version_line() + "\n")
            raise Exit(0)
        elif name in ("-D", "--debug"):
            session.debug = value != "false"
        elif name == "--tls":
            session.tls.use = value != "false"
        elif name == "--tlsverify":
            session.tls.verify = value != "false"
        elif name.startswith("--"):
            raise UsageError(f"unknown flag: {name}")
        else:
            raise UsageError(f"unknown shorthand flag: '{name[1]}' in {name}")
    if session.host and session.context:
        raise CommandError("conflicting options: cannot specify both --host and --context")
    return argv[index:]


def _set_global(session: Session, kind: str, value: str) -> None:
    if kind == "host":
        if session.host:
            from solva.cli.errors import CommandError

            raise CommandError("specify only one -H")
        session.host = value
    elif kind == "context":
        session.context = value
    elif kind == "config":
        session.config_dir = value
    elif kind == "log-level":
        if value not in ("debug", "info", "warn", "error", "fatal"):
            from solva.cli.errors import CommandError

            raise CommandError(f"unable to parse logging level: {value}")
        session.debug = value == "debug"
    else:
        setattr(session.tls, kind, value)


if __name__ == "__main__":
    main()
