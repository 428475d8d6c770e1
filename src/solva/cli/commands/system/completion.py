"""``solva completion``: shell scripts, which ask ``solva __complete`` for what may come next."""

from __future__ import annotations

import sys

from solva.cli.catalog import GROUPS, VERBS
from solva.cli.errors import CommandError, Exit
from solva.cli.flags import Command
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session

_BASH = """# bash completion for solva
_solva() {
    local IFS=$'\\n'
    local found; found=$(solva __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    COMPREPLY=($(compgen -W "$found" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -o bashdefault -F _solva solva
"""
_ZSH = """#compdef solva
_solva() {
    local -a found
    found=("${(@f)$(solva __complete "${(@)words[2,$CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
compdef _solva solva
"""
_FISH = """# fish completion for solva
function __solva_complete
    set -l words (commandline -opc) (commandline -ct)
    solva __complete $words[2..-1] 2>/dev/null
end
complete -c solva -a '(__solva_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_GLOBAL = ("--config", "--context", "--debug", "--help", "--host", "--log-level", "--tls", "--tlsverify", "--version")
_KINDS = {
    "attach": "container", "commit": "container", "cp": "container", "diff": "container", "exec": "container",
    "export": "container", "kill": "container", "logs": "container", "pause": "container", "port": "container",
    "rename": "container", "restart": "container", "rm": "container", "start": "container", "stats": "container",
    "stop": "container", "top": "container", "unpause": "container", "update": "container", "wait": "container",
    "inspect": "container", "create": "image", "history": "image", "push": "image", "rmi": "image", "run": "image",
    "save": "image", "tag": "image", "pull": "image", "container inspect": "container", "image inspect": "image",
    "network connect": "network", "network disconnect": "network", "network inspect": "network",
    "network rm": "network", "network why": "end", "ports": "container", "volume inspect": "volume",
    "volume rm": "volume", "context use": "context", "context rm": "context", "context inspect": "context",
}
_VALUES = {"--network": "network", "--net": "network", "--volumes-from": "container", "--link": "container"}


def run(session: Session, options: Options) -> int:
    """Print the script of a shell."""
    script = _SCRIPTS.get(options.args[0])
    if script is None:
        raise CommandError(f"unknown shell: {options.args[0]}; there are scripts for bash, fish and zsh")
    sys.stdout.write(script)
    return 0


def complete(session: Session, words: list[str]) -> int:
    """Print, one a line, what the last of ``words`` may become. Nothing is started, nothing fails."""
    try:
        found = candidates(session, words[:-1], words[-1] if words else "")
    except (SolvaError, CommandError, Exit, LookupError, OSError):
        found = []
    sys.stdout.write("".join(f"{word}\n" for word in found))
    return 0


def candidates(session: Session, before: list[str], current: str) -> list[str]:
    """The words that may stand after ``before`` and begin with ``current``."""
    from solva.cli.main import load

    plain = [word for word in before if not word.startswith("-")]
    if not plain:
        every = _GLOBAL if current.startswith("-") else (*VERBS, *GROUPS, "compose")
        return sorted(word for word in every if word.startswith(current))
    name = plain[0]
    if name == "compose":
        return _compose(session, before[before.index("compose") + 1:], current)
    if before[-1] in _VALUES:
        return [word for word in _objects(session, _VALUES[before[-1]]) if word.startswith(current)]
    if name in GROUPS:
        verbs = GROUPS[name][1]
        if len(plain) == 1:
            return sorted(verb for verb in verbs if verb and verb.startswith(current))
        if plain[1] not in verbs:
            return []
        command = load(verbs[plain[1]][0])
    elif name in VERBS:
        command = load(VERBS[name][0])
    else:
        return []
    if current.startswith("-"):
        return _flags(command, current)
    if name == "completion":
        return [shell for shell in sorted(_SCRIPTS) if shell.startswith(current)]
    return [word for word in _objects(session, _KINDS.get(command.name, "")) if word.startswith(current)]


def _flags(command: Command, current: str) -> list[str]:
    flags = [f"--{flag.name}" for flag in command.flags if not flag.hidden]
    return sorted(flag for flag in {*flags, "--help"} if flag.startswith(current))


def _compose(session: Session, words: list[str], current: str) -> list[str]:
    """Verbs, flags, and the services of the files that ``words`` and the folder name."""
    from solva.cli.commands import compose
    from solva.cli.commands.compose.app import GLOBAL, App
    from solva.cli.flags import parse

    valued = {text for flag in GLOBAL.flags if flag.kind != "bool"
              for text in (f"--{flag.name}", f"-{flag.shorthand}" if flag.shorthand else "")}
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] in valued else 1
    if index >= len(words):
        verbs = sorted(verb for verb in compose.VERBS if verb.startswith(current))
        return [] if index > len(words) else _flags(GLOBAL, current) if current.startswith("-") else verbs
    command = compose.command(words[index])
    if current.startswith("-"):
        return _flags(command, current)
    if command.arity == (0, 0):
        return []
    services = App(parse(GLOBAL, words[:index + 1]), session.connect).project([]).services
    return sorted(name for name in services if name.startswith(current))


def _objects(session: Session, kind: str) -> list[str]:
    """Names of what the engine has, where it answers at once."""
    from solva.client.transport import Transport

    if kind == "context":
        from solva.cli.contexts import all_of

        return ["default", *(context.name for context in all_of(session.config_dir))]
    if not kind:
        return []
    api = Transport(session.endpoint.url, tls=session.endpoint.tls)
    if kind == "end":
        return ["host", "internet", "lan", *_objects(session, "container")]
    if kind == "container":
        return [row["Names"][0].strip("/") for row in api.json("GET", "/containers/json", query={"all": True})]
    if kind == "image":
        return [tag for row in api.json("GET", "/images/json") for tag in row.get("RepoTags") or []]
    if kind == "network":
        return [row["Name"] for row in api.json("GET", "/networks")]
    return [row["Name"] for row in api.json("GET", "/volumes")["Volumes"] or []]


COMMAND = Command("completion", "bash|zsh|fish", "Print the completion script of a shell", run, arity=(1, 1))
