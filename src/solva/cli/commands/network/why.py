"""``solva network why A B[:PORT]``: whether A reaches B, step by step, and what to do if not."""

from __future__ import annotations

from solva.cli.flags import Command, Flag
from solva.cli.session import extension, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session

_MARKS = {"ok": "ok", "fails": "FAILS", "unknown": "?"}


def run(session: Session, options: Options) -> int:
    """Print the steps and the one cause; status 0 where it is reachable, else 1."""
    source, target = options.args
    answer = extension(session, "GET", "/solva/network/why", query={
        "from": source, "to": target, "packet": options.on("packet") or None})
    fmt = options.text("format")
    if fmt:
        from solva.cli.output.gojson import compact
        from solva.cli.output.template import Template

        say(compact(answer) if fmt == "json" else Template(fmt).render(answer))
    else:
        say("\n".join(lines(source, target, answer)))
    return 0 if answer["Reachable"] else 1


def lines(source: str, target: str, answer: dict[str, Any]) -> list[str]:
    """The answer for people."""
    shown = [f"{step['Stage']:<9}{_MARKS.get(step['Verdict'], '?'):<6} {step['Text']}" for step in answer["Steps"]]
    packet = answer.get("Packet")
    if packet:
        shown.append(f"packet          {packet['Source'] or source} -> {packet['Destination']}: {packet['Result']}")
        for passed in packet["Passed"]:
            way = f" [{passed['In'] or '-'} > {passed['Out'] or '-'}]" if passed["In"] or passed["Out"] else ""
            rule = f": {passed['Rule']}" if passed["Rule"] else ""
            shown.append(f"                {passed['Verdict']:<8} {passed['Where']}{rule}{way}")
    shown.append("")
    if answer["Reachable"]:
        return [*shown, f"{source} reaches {target}."]
    return [*shown, f"{source} does not reach {target}.", f"Cause:   {answer['Cause']}", f"To mend: {answer['Mend']}"]


COMMAND = Command(
    "network why", "[OPTIONS] A B[:PORT[/PROTO]]", "Explain whether A reaches B, and what to do if not", run, flags=(
        Flag("format", "f", "string", "Format the answer: 'json', or a Go template"),
        Flag("packet", "", "bool", "Prove it by a real packet, traced through this machine's rules")), arity=(2, 2),
    long="A and B are containers, names that A can resolve, addresses, or the words host, lan and internet.\n"
         "Exit status: 0 reachable, 1 not.")
