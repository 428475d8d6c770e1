"""The pages that are about commands as such: overview, groups, version, and the guess at a misspelt name."""

from __future__ import annotations

from solva.cli import help as texts
from solva.cli.catalog import COMMON, GROUPS, VERBS
from solva.cli.errors import CommandError

VERSION = "0.1.0"


def version_line() -> str:
    """What ``solva --version`` prints."""
    return f"Solva version {VERSION}"


def root_help() -> str:
    """What ``solva --help`` prints."""
    from solva.cli.flags import Flag

    options = (
        Flag("config", "", "string", "Folder of the client's configuration files", default="~/.docker"),
        Flag("context", "c", "string", "Context that names the engine to talk to"),
        Flag("debug", "D", "bool", "Say more when something fails"),
        Flag("host", "H", "list", "Socket of the engine to talk to"),
        Flag("log-level", "l", "string", 'Least severity of messages ("debug", "info", "warn", "error", "fatal")',
             default="info"),
        Flag("tls", "", "bool", "Use TLS; implied by --tlsverify"),
        Flag("tlscacert", "", "string", "Trust only certificates signed by this CA", default="~/.docker/ca.pem"),
        Flag("tlscert", "", "string", "TLS certificate", default="~/.docker/cert.pem"),
        Flag("tlskey", "", "string", "TLS key", default="~/.docker/key.pem"),
        Flag("tlsverify", "", "bool", "Use TLS and verify the engine"),
        Flag("version", "v", "bool", "Print the version and quit"),
    )
    lines = ["Usage:  solva [OPTIONS] COMMAND", "", "Containers, networks, images and Compose applications", "",
             "Common Commands:"]
    lines += texts.table_of((name, VERBS[name][1]) for name in COMMON)
    lines += ["", "Management Commands:"]
    lines += texts.table_of((name, GROUPS[name][0]) for name in sorted(GROUPS))
    lines += ["", "Commands:"]
    lines += texts.table_of((name, VERBS[name][1]) for name in sorted(VERBS) if name not in COMMON)
    lines += ["", "Global Options:", *texts.flag_lines(options, texts.columns()), "",
              "Run 'solva COMMAND --help' for more information on a command."]
    return "\n".join(lines) + "\n"


def group_help(name: str) -> str:
    """What ``solva network --help`` prints."""
    title, verbs = GROUPS[name]
    seen: dict[str, str] = {}
    for verb, (place, short) in verbs.items():
        if verb and place not in seen.values():
            seen[verb] = place
            _ = short
    rows = [(verb, verbs[verb][1]) for verb in sorted(seen)]
    lines = [f"Usage:  solva {name} COMMAND", "", title, "", "Commands:", *texts.table_of(rows), "",
             f"Run 'solva {name} COMMAND --help' for more information on a command."]
    return "\n".join(lines) + "\n"


def unknown_command(group: str, name: str) -> CommandError:
    """The error for a verb that is none, with the one probably meant."""
    known = list(GROUPS[group][1]) if group else [*VERBS, *GROUPS, "compose"]
    full = f"{group} {name}" if group else name
    text = f"solva: '{full}' is not a solva command."
    guess = nearest(name, [verb for verb in known if verb])
    if guess:
        text += f" Did you mean '{f'{group} {guess}' if group else guess}'?"
    where = f"solva {group} --help" if group else "solva --help"
    return CommandError(f"{text}\n\nRun '{where}' for more information", 1)


def nearest(word: str, known: list[str]) -> str:
    """The name that ``word`` most probably means, or ``""``."""
    best, best_cost = "", 100
    for name in known:
        cost = _distance(word.lower(), name)
        if name.startswith(word.lower()) and len(word) > 1:
            cost = min(cost, 1)
        better = cost == best_cost and sorted(name) == sorted(word.lower())
        if cost < best_cost or better:
            best, best_cost = name, cost
    return best if best_cost <= max(1, len(word) // 3) else ""


def _distance(left: str, right: str) -> int:
    """Edits between two words, two swapped neighbours counting as one."""
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, char in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (char != other))
            if row > 1 and column > 1 and char == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, previous = previous, current
    return previous[-1]
