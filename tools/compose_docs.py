"""A page a command under docs/compose/, from the command definitions and the notes in docs/compose/notes/.

    python -m tools.compose_docs          write them
    python -m tools.compose_docs --check  say which are not as they should be
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from solva.cli.commands import compose
from solva.cli.commands.compose.app import GLOBAL
from solva.cli.flags import Command, Flag

DOCS = Path(__file__).resolve().parents[1] / "docs" / "compose"
HEAD = "<!-- made by tools/compose_docs.py from the command's definition and notes/{name}.md; edit those -->\n"


def command(name: str) -> Command:
    module = importlib.import_module(f"solva.cli.commands.compose.{compose._MODULES.get(name, name)}")
    found: Command = module.COMMANDS[name]
    return found


def options(flags: tuple[Flag, ...]) -> str:
    rows = ["| option | value | what it does |", "|---|---|---|"]
    for flag in sorted(flags, key=lambda flag: flag.name):
        if flag.hidden:
            continue
        short = f"`-{flag.shorthand}`, " if flag.shorthand else ""
        kind = "" if flag.kind == "bool" else flag.kind
        default = f" (default `{str(flag.default).lower() if flag.kind == 'bool' else flag.default}`)" \
            if flag.default not in ("", 0, False, None, []) else ""
        text = flag.help.replace("|", "\\|")
        rows.append(f"| {short}`--{flag.name}` | {kind} | {text}{default} |")
    return "\n".join(rows)


def page(name: str) -> str:
    """The whole page of one command."""
    found = command(name)
    usages = "\n".join(f"solva {found.name} {usage}".rstrip() for usage in found.usage.split("\n"))
    parts = [HEAD.format(name=name), f"# compose {name}\n", f"{found.short.strip()}\n", f"```\n{usages}\n```\n"]
    notes = DOCS / "notes" / f"{name}.md"
    if notes.exists():
        parts.append(notes.read_text().strip("\n") + "\n")
    parts.append(f"## Options\n\n{options(found.flags)}\n")
    parts.append("The options of every command are on the page [of compose itself](README.md).\n")
    return "\n".join(parts)


def index() -> str:
    """The page of `compose` itself."""
    rows = "\n".join(f"| [{name}]({name}.md) | {short.strip()} |" for name, short in sorted(compose.VERBS.items()))
    notes = (DOCS / "notes" / "README.md").read_text().strip("\n")
    return "\n".join([HEAD.format(name="README"), "# solva compose\n", notes + "\n",
                      f"## Commands\n\n| command | what it does |\n|---|---|\n{rows}\n",
                      f"## Options before the command\n\n{options(GLOBAL.flags)}\n"])


def pages() -> dict[str, str]:
    """File name -> text of everything that is made."""
    return {"README.md": index(), **{f"{name}.md": page(name) for name in compose.VERBS}}


def main() -> int:
    stale = [name for name, text in pages().items()
             if not (DOCS / name).exists() or (DOCS / name).read_text() != text]
    if "--check" in sys.argv:
        sys.stdout.writelines(f"docs/compose/{name} is stale: python -m tools.compose_docs\n" for name in stale)
        return bool(stale)
    for name, text in pages().items():
        (DOCS / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
